/**
 * A weekly activity e-mail for every user: a schedule that fans out.
 *
 * Every Friday at noon one function fetches all users and sends an event for each; a second one is started by each of these
 * events, and writes that user an e-mail in two steps. All of them run side by side, and each is tried again on its own.
 *
 *     steplane serve                # in one terminal
 *     npm install && npm start      # in another, in this folder
 *     steplane trigger weekly-email-typescript/weekly-activity-load-users --wait
 */

import { appendFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { currentTraceparent, Steplane } from "steplane";

interface User {
  id: string;
  name: string;
  language: string;
}

type Events = {
  "app/weekly-email-activity.send": { user: User };
};

const LANGUAGE = "typescript";
const NAMES = "Ada Barbara Claude Dora Edsger Frances Grace Hedy Ivan John Katie Leslie".split(" ");

const client = new Steplane<Events>({ id: "weekly-email-typescript" });

/** Ask the user database. Of these users one after the other likes one of the languages. */
async function fetchUsers(languages: string[]): Promise<User[]> {
  note("fetch-users");
  await pause(250);
  return NAMES.map((name, number) => ({ id: `u${number}`, name, language: languages[number % languages.length] }));
}

/** Ask for a user's week. */
async function loadUserData(userId: string): Promise<{ logins: number }> {
  note("load-user-data");
  await pause(250);
  return { logins: userId.length + Number(userId.slice(1)) };
}

/** Hand an e-mail to the mail server. */
async function sendEmail(user: User, data: { logins: number }): Promise<string> {
  note("email-user");
  await pause(250);
  return `Hello ${user.name}, you were here ${data.logins} times this week.`;
}

/** Fetch all users, and send an event for each. */
client.createFunction(
  { id: "weekly-activity-load-users", triggers: { cron: "0 12 * * 5", tz: "Europe/Berlin" } },
  async ({ event, step, logger }) => {
    // Who starts this by hand can ask for users of other languages too: '{"languages": ["typescript", "go"]}'.
    const { languages = [LANGUAGE] } = event.data as { languages?: string[] };
    const users = await step.run("fetch-users", () => fetchUsers(languages));
    await step.sendEvent(
      "fan-out-weekly-emails",
      users.map((user) => ({ name: "app/weekly-email-activity.send" as const, data: { user } })),
    );
    logger.info(`sent ${users.length} events`);
    return { count: users.length };
  },
);

/** Write one user an e-mail. */
client.createFunction(
  {
    id: "weekly-activity-send-email",
    triggers: {
      event: "app/weekly-email-activity.send",
      // The programs in the other languages take the other users.
      if: `event.data.user.language == '${LANGUAGE}'`,
    },
  },
  async ({ event, step }) => {
    const { user } = event.data;
    const data = await step.run("load-user-data", () => loadUserData(user.id));
    return step.run("email-user", () => sendEmail(user, data));
  },
);

/** Note that the code of a step begins, if somebody wants to count (the demo does). */
function note(step: string): void {
  const path = process.env.WEEKLY_EMAIL_NOTES;
  if (path === undefined) return;
  const span = currentTraceparent().split("-")[2];
  appendFileSync(path, `${span} ${step} ${Date.now() * 1000}\n`);
}

await client.serve({ slots: 2 });
