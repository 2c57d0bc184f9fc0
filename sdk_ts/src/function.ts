/** What a user defines: a function. */

import type { FunctionDefinition } from "./gen/steplane/v1/function_pb.js";
import type { Context } from "./context.js";

/** The code of a function, as workers call it. */
export type AnyHandler = (context: Context) => unknown;

/** A function, as `createFunction` defines it: give it to workers, and to `step.invoke`. */
export class DurableFunction<Output = unknown, Data = never> {
  /** What it returns, and what its event tells; there for the compiler only. */
  declare readonly types: (data: Data) => Output;
  /** The function that runs once a run of this one has failed for good. Whoever serves this one serves it too. */
  failureHandler: DurableFunction | undefined = undefined;

  constructor(
    /** What the server is told. */
    readonly definition: FunctionDefinition,
    /** The code. */
    readonly handler: AnyHandler,
  ) {}

  /** The function's id inside its app. */
  get id(): string {
    return this.definition.functionId;
  }

  /** Its app. */
  get appId(): string {
    return this.definition.appId;
  }
}
