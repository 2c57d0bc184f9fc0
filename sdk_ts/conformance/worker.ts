/**
 * The TypeScript worker under test: serves the functions of a file, as `conformance/README.md` says, until SIGTERM.
 *
 *     STEPLANE_ADDRESS=127.0.0.1:7100 STEPLANE_SCRIPTS=scripts.json node sdk_ts/dist/conformance/worker.js
 */

import { readFileSync } from "node:fs";
import { Steplane, type Trigger } from "../src/index.js";
import { retryOf, runScript, type ScriptedRetry, type Statement } from "./script.js";

interface ScriptedFunction {
  readonly id: string;
  readonly triggers?: readonly { event?: string; expression?: string; cron?: string; tz?: string }[];
  readonly retries?: number;
  readonly retry?: ScriptedRetry;
  readonly script: readonly Statement[];
}

interface Scripts {
  readonly app_id: string;
  readonly slots: number;
  readonly functions: readonly ScriptedFunction[];
}

const scripts = JSON.parse(readFileSync(process.env["STEPLANE_SCRIPTS"] ?? "", "utf8")) as Scripts;
const steplane = new Steplane({ id: scripts.app_id });
for (const { id, triggers = [], retries, retry, script } of scripts.functions) {
  steplane.createFunction({ id, triggers: triggers.map(triggerOf), retries, retry: retryOf(retry) }, (context) =>
    runScript(context, script),
  );
}
await steplane.serve({ slots: scripts.slots });

/** A trigger of the file. */
function triggerOf({ event = "", expression, cron, tz }: NonNullable<ScriptedFunction["triggers"]>[number]): Trigger {
  return cron === undefined ? { event, if: expression } : { cron, tz };
}
