// A program of somebody who installed the package, without types.
import { NonRetriableError, Steplane } from "steplane";

const app = new Steplane({ id: "plain" });
app.createFunction({ id: "greet", triggers: { event: "plain/greet" }, retries: 0 }, async ({ event, step }) => {
  if (!event.data.name) throw new NonRetriableError("nobody to greet");
  return step.run("say", () => `hello ${event.data.name}`);
});
await app.serve();
