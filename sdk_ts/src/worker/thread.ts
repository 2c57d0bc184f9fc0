/** The stream's thread: where `Session` runs. What it tells in one turn of its loop crosses in one message. */

import { parentPort, workerData } from "node:worker_threads";
import type { Command, News, ThreadData } from "./messages.js";
import { Session } from "./session.js";

const port = parentPort;
if (port === null) throw new Error("this is the code of a thread");

let told: News[] = [];

function flush(): void {
  const batch = told;
  told = [];
  if (batch.length > 0) port?.postMessage(batch);
}

const session = new Session(workerData as ThreadData, (news) => {
  if (told.length === 0) setImmediate(flush);
  told.push(news);
});
port.on("message", (command: Command) => {
  session.take(command);
});
await session.run();
flush();
port.close();
