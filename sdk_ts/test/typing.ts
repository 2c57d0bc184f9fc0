/** How the types are used, for the compiler: this file is checked, and not run. What is expected to be an error has to be one. */

import {
  NonRetriableError,
  RetryAfterError,
  Steplane,
  StepError,
  type Context,
  type Event,
  type FunctionFailed,
  type FunctionOptions,
  type GetEvents,
  type Logger,
  type Tick,
  type Trigger,
} from "../src/index.js";

/** Fails to compile unless both types are the same. */
function same<Expected>() {
  return <Found>(_value: Found, ..._proof: Equal<Expected, Found> extends true ? [] : [never]): void => undefined;
}
type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;

interface Events {
  "shop/order.created": { id: string; total: number };
  "shop/order.paid": { id: string };
  "shop/closed": { at?: string };
}

const shop = new Steplane<Events>({
  id: "shop",
  tls: { ca: "ca.pem" },
  logger: console,
});
const any = new Steplane({ id: "any" });

// A trigger gives `event` its type.

shop.createFunction({ id: "a", triggers: { event: "shop/order.created" } }, ({ event, events, attempt, runId }) => {
  same<"shop/order.created">()(event.name);
  same<{ id: string; total: number }>()(event.data);
  same<number>()(event.ts);
  same<Event<"shop/order.created", { id: string; total: number }>[]>()(events);
  same<[number, string]>()([attempt, runId] as [typeof attempt, typeof runId]);
  // @ts-expect-error there is no such member
  return event.data.name;
});

shop.createFunction(
  { id: "b", triggers: [{ event: "shop/order.created" }, { event: "shop/order.paid" }] },
  ({ event }) => {
    if (event.name === "shop/order.paid") same<{ id: string }>()(event.data);
    else same<{ id: string; total: number }>()(event.data);
  },
);

shop.createFunction({ id: "c", triggers: { event: "shop/order.*" } }, ({ event }) => {
  same<"shop/order.created" | "shop/order.paid">()(event.name);
});

shop.createFunction({ id: "d", triggers: [{ cron: "0 12 * * 5", tz: "Europe/Berlin" }] }, ({ event }) => {
  same<Tick>()(event);
});

shop.createFunction({ id: "e", triggers: [{ event: "shop/closed" }, { cron: "0 12 * * 5" }] }, ({ event }) => {
  same<"shop/closed" | "steplane/schedule.fired">()(event.name);
});

// @ts-expect-error no such event
shop.createFunction({ id: "f", triggers: { event: "shop/order.creatd" } }, () => null);
// @ts-expect-error a trigger is for events or a schedule
shop.createFunction({ id: "g", triggers: { at: "noon" } }, () => null);
// @ts-expect-error no such option
shop.createFunction({ id: "h", triggers: { event: "shop/closed" }, cancelOn: [] }, () => null);
shop.createFunction(
  // @ts-expect-error there are three scopes
  { id: "i", triggers: { event: "shop/closed" }, concurrency: { limit: 1, scope: "all" } },
  () => null,
);

// Without a schema map every name will do, and data are anything.

any.createFunction({ id: "a", triggers: { event: "what/ever" } }, ({ event }) => {
  const user: { id: string } = event.data.user;
  return user;
});
const chosen: Trigger[] = [{ event: "what/ever" }, { cron: "0 12 * * 5" }];
any.createFunction({ id: "b", triggers: chosen }, ({ event }) => event.data);

// What a step returns is what JSON has of it.

interface Order {
  id: string;
  at: Date;
  note?: string;
  lines: { total: number }[];
}

const double = shop.createFunction({ id: "double", triggers: { event: "shop/order.created" } }, ({ event }) => ({
  twice: event.data.total * 2,
  at: new Date(),
}));

shop.createFunction({ id: "steps", triggers: { event: "shop/closed" } }, async ({ step, event, logger, signal }) => {
  const order = await step.run("load", async () => loaded());
  same<{ id: string; at: string; note?: string; lines: { total: number }[] }>()(order);
  same<null>()(await step.run("nothing", () => undefined));
  same<string | null>()(await step.run("perhaps", (): string | undefined => event.data.at));
  same<number>()(await step.run("own", () => 1, { retry: { attempts: 3, firstDelay: "1s" } }));
  // @ts-expect-error no such option
  await step.run("own", () => 1, { retries: 3 });

  same<void>()(await step.sleep("nap", "1h"));
  await step.sleep("nap", 1000);
  await step.sleepUntil("then", new Date());
  // @ts-expect-error a moment is a Date or a text
  await step.sleepUntil("then", 5);

  same<string[]>()(await step.sendEvent("send", { name: "shop/order.paid", data: { id: "1" } }));
  await step.sendEvent("send", [
    { name: "shop/closed" },
    { name: "shop/order.paid", data: { id: "1" }, ts: new Date() },
  ]);
  // @ts-expect-error its data have to be given
  await step.sendEvent("send", { name: "shop/order.paid" });
  // @ts-expect-error that is the data of another
  await step.sendEvent("send", { name: "shop/order.created", data: { id: "1" } });

  const paid = await step.waitForEvent("wait", {
    event: "shop/order.paid",
    match: "data.id",
    timeout: "1d",
    since: "run",
  });
  same<Event<"shop/order.paid", { id: string }> | null>()(paid);
  const either = await step.waitForEvent("any", {
    event: [{ event: "shop/order.paid", if: "async.data.id == '1'" }, "shop/closed"],
  });
  same<"shop/order.paid" | "shop/closed" | undefined>()(either?.name);
  const both = await step.waitForEvent("all", { event: ["shop/order.paid", "shop/closed"], allOf: true });
  same<("shop/order.paid" | "shop/closed")[] | undefined>()(both?.map(({ name }) => name));
  // @ts-expect-error no such event
  await step.waitForEvent("wait", { event: "shop/order.payed" });

  const { twice, at } = await step.invoke("call", { function: double, data: { id: "1", total: 21 }, timeout: "1h" });
  same<[number, string]>()([twice, at] as [typeof twice, typeof at]);
  same<unknown>()(await step.invoke("call", { function: "billing/charge", data: { any: 1 } }));
  same<{ ok: boolean }>()(await step.invoke<{ ok: boolean }>("call", { function: "billing/charge" }));
  // @ts-expect-error that is not what the function's event tells
  await step.invoke("call", { function: double, data: { id: "1", total: "21" } });
  // @ts-expect-error nor is that
  await step.invoke("call", { function: double, data: {} });

  same<{ by: string } | null>()(await step.waitForSignal<{ by: string }>("signal", { signal: "approve/1" }));
  same<string>()(await step.sendSignal("tell", { signal: "approve/1", data: [1] }));

  const [one, two] = await Promise.all([step.run("one", () => 1), step.run("two", () => "2")]);
  same<[number, string]>()([one, two] as [typeof one, typeof two]);
  same<number | string>()(await Promise.race([step.run("one", () => 1), step.run("two", () => "2")]));

  logger.info("text %s", one);
  same<boolean>()(signal.aborted);
  try {
    await step.run("pay", () => 1);
  } catch (error) {
    if (error instanceof StepError) same<string>()(error.reason);
    throw new RetryAfterError("later", "1m", { cause: error });
  }
  throw new NonRetriableError("never");
});

async function loaded(): Promise<Order> {
  return Promise.resolve({ id: "1", at: new Date(), lines: [] });
}

// A failure handler is told of the run that failed.

shop.createFunction(
  {
    id: "fails",
    triggers: { event: "shop/closed" },
    onFailure: ({ event }) => {
      same<FunctionFailed>()(event.data);
      same<string>()(event.data.error.message);
    },
  },
  () => null,
);

// Code may be written apart from its function.

const options = { id: "apart", triggers: { event: "shop/closed" }, retries: 0 } as const satisfies FunctionOptions;
shop.createFunction(options, apart);
function apart({ event }: Context<Events, Event<"shop/closed", { at?: string }>>): string {
  return event.data.at ?? "";
}

// Outside of functions.

type Sent = GetEvents<typeof shop>;
const paid: Sent["shop/order.paid"] = { name: "shop/order.paid", data: { id: "1" } };
// @ts-expect-error its data have to be given
const unpaid: Sent["shop/order.paid"] = { name: "shop/order.paid" };
type AnySent = GetEvents<typeof any>;
const list = ["ada"].map<AnySent["what/ever"]>((user) => ({ name: "what/ever", data: { user }, user }));

export async function main(): Promise<void> {
  same<string[]>()(await shop.send([paid, unpaid], { timeout: "1s" }));
  await any.send(list);
  // @ts-expect-error no such event
  await shop.send({ name: "shop/opened" });
  same<string>()(await shop.sendSignal("approve/1", { by: "me" }));
  const worker = shop.createWorker({ functions: [double], slots: 10, drainTimeout: "10s" });
  same<boolean>()(worker.isConnected);
  await Promise.race([worker.run({ signals: false }), worker.connected()]);
  worker.stop();
  await shop.serve();
  shop.close();
}

// Loggers of others.

export const loggers: Logger[] = [console, { ...console, child: () => console }];
