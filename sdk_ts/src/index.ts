/** Durable functions, run by events: the TypeScript SDK of Steplane. */

export {
  Steplane,
  type EventsOf,
  type GetEvents,
  type HandlerOptions,
  type SteplaneOptions,
  type WorkerOptions,
} from "./client.js";
export type { Context } from "./context.js";
export type { FunctionOptions } from "./definition.js";
export {
  ArgumentError,
  NestedStepError,
  NonDeterminismError,
  NonRetriableError,
  NotSerializableError,
  RegistrationError,
  RejectedError,
  RequestError,
  RetryAfterError,
  SendError,
  StepError,
  StepIdError,
  SteplaneError,
  TooLargeError,
  type FieldViolation,
} from "./errors.js";
export type { AnySchemas, Event, EventToSend, FunctionFailed, Schemas, Sendable, Tick } from "./event.js";
export type {
  Batch,
  Cancel,
  Concurrency,
  CronTrigger,
  Debounce,
  EventTrigger,
  Priority,
  RateLimit,
  Singleton,
  Throttle,
  Timeouts,
  Trigger,
} from "./flow.js";
export type { DurableFunction } from "./function.js";
export type { Json } from "./json.js";
export type { Logger } from "./logger.js";
export type { Retry } from "./retry.js";
export { currentTraceparent } from "./scope.js";
export type { Step } from "./step.js";
export type { Duration } from "./time.js";
export type { Tls } from "./transport.js";
export type {
  InvokeOptions,
  RunOptions,
  SignalOptions,
  SignalWaitOptions,
  WaitedEvent,
  WaitOptions,
} from "./waiting.js";
export type { Worker } from "./worker/worker.js";
