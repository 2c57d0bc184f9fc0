// The same with types.
import { Steplane, type Context, type DurableFunction, type GetEvents } from "steplane";

interface Events {
  "typed/greet": { name: string };
  "typed/greeted": { text: string };
}

const app = new Steplane<Events>({ id: "typed" });

export const greet: DurableFunction<string, { name: string }> = app.createFunction(
  { id: "greet", triggers: { event: "typed/greet" } },
  async ({ event, step }) => {
    const text: string = await step.run("say", async () => `hello ${event.data.name}`);
    const told: GetEvents<typeof app>["typed/greeted"] = { name: "typed/greeted", data: { text } };
    await step.sendEvent("tell", told);
    return text;
  },
);

export function never(context: Context<Events>): void {
  // @ts-expect-error no such event
  void context.step.sendEvent("tell", { name: "typed/met" });
}

await app.serve();
