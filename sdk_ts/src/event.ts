/** What happened: an event, as it is sent and as a function gets it. */

/** The events of an app: the type of each one's data, by its name. Written as a type or as an interface. */
export type Schemas<S> = Record<keyof S, object>;

/** Events of any name and any data: those of a client without a schema map. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- nobody said what these data are
export type AnySchemas = Record<string, any>;

/** Something that happened, as a function gets it. */
export interface Event<Name extends string = string, Data = unknown> {
  /** What happened, for example `shop/order.created`. */
  readonly name: Name;
  /** What the event tells: whatever a JSON object can carry. */
  readonly data: Data;
  /** Unique within the server's dedupe window. */
  readonly id: string;
  /** When it happened, in milliseconds since 1970. */
  readonly ts: number;
  /** The W3C trace context that it belongs to. */
  readonly traceparent: string;
  /** The W3C vendor state that goes with `traceparent`. */
  readonly tracestate: string;
}

/** Something that happened, as it is sent. */
export interface EventToSend<Name extends string = string, Data = object> {
  /** What happened, for example `shop/order.created`. */
  name: Name;
  /** An object that JSON can carry; `{}` if not given. */
  data?: Data;
  /** The same id again makes no second event. Made if not given. */
  id?: string | undefined;
  /** When it happened; now if not given. A moment in the future delays the event. */
  ts?: Date | number | undefined;
  /** The W3C trace context that it belongs to. Events of a step always get their step's. */
  traceparent?: string | undefined;
  /** The W3C vendor state that goes with `traceparent`. */
  tracestate?: string | undefined;
  /** Whom it is about, for who says so beside the data: it becomes their `user`, unless they have one. */
  user?: unknown;
}

/** The events of a schema map by their names, as they are sent: their data have to be given if any of them has to be. */
export type SendableByName<S extends Schemas<S>> = {
  [Name in keyof S & string]: Omit<EventToSend<Name, S[Name]>, "data"> &
    (Record<string, never> extends S[Name] ? { data?: S[Name] } : { data: S[Name] });
};

/** Any event of a schema map, as it is sent. */
export type Sendable<S extends Schemas<S>> = SendableByName<S>[keyof S & string];

/** The events of a name in a schema map; one with a `*` at its end is any of those that it matches. */
export type Named<S extends Schemas<S>, Name extends string> = Name extends `${infer Prefix}*`
  ? Matching<S, keyof S & `${Prefix}${string}`>
  : Event<Name, Name extends keyof S ? S[Name] : unknown>;

type Matching<S extends Schemas<S>, Name extends string> = Name extends keyof S ? Event<Name, S[Name]> : never;

/** Names that a trigger, or a wait, of a schema map can have. */
export type NameOf<S extends Schemas<S>> = (keyof S & string) | `${string}*`;

/** The event of a function that a schedule starts. One that a person starts has the data that were given. */
export type Tick = Event<
  "steplane/schedule.fired",
  { readonly cron?: string; readonly time_zone?: string; readonly tick?: string }
>;

/** What `steplane/function.failed` tells: the event of a failure handler. */
export interface FunctionFailed {
  /** The function, with its app: `app/function`. */
  readonly function_id: string;
  /** The run that failed. */
  readonly run_id: string;
  /** The event that started the run. */
  readonly event: { id: string; name: string; data: Record<string, unknown>; ts: number };
  /** All events of a batch. */
  readonly events: { id: string; name: string; data: Record<string, unknown>; ts: number }[];
  /** What it failed with, in which step if in one, and the server's reason if it was one of its. */
  readonly error: { name: string; message: string; stack: string; step_key: string; reason: string };
}
