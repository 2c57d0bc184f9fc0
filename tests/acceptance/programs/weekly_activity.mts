/**
 * The guide's program in our words: a schedule fans out, an event for each user, and each of these writes one e-mail.
 *
 * `weekly_activity MAILBOX`: an e-mail is a line that is appended to the file MAILBOX.
 */

import { appendFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { Steplane, type Sendable } from "steplane";

interface User {
  id: string;
  email: string;
}

type Events = {
  "app/weekly-email-activity.send": User & { user: User };
};

const mailbox = process.argv[2]!;
const client = new Steplane<Events>({ id: "signup-flow" });

async function fetchUsers(): Promise<User[]> {
  await pause(10);
  return Array.from({ length: 25 }, (_, number) => ({ id: `u${number}`, email: `u${number}@example.com` }));
}

async function loadUserData(userId: string) {
  await pause(10);
  return { posts: Number(userId.slice(1)) };
}

async function sendEmail(user: User, data: { posts: number }) {
  appendFileSync(mailbox, `${user.email} wrote ${data.posts} posts\n`);
}

export const loadCron = client.createFunction(
  { id: "weekly-activity-load-users", triggers: { cron: "0 12 * * 5" } },
  async ({ event, step }) => {
    const users = await step.run("fetch-users", async () => {
      return fetchUsers();
    });

    const events = users.map<Sendable<Events>>((user) => {
      return {
        name: "app/weekly-email-activity.send",
        data: {
          ...user,
          user,
        },
      };
    });
    await step.sendEvent("fan-out-weekly-emails", events);

    return { count: users.length };
  },
);

export const sendReminder = client.createFunction(
  { id: "weekly-activity-send-email", triggers: { event: "app/weekly-email-activity.send" } },
  async ({ event, step }) => {
    const data = await step.run("load-user-data", async () => {
      return loadUserData(event.data.user.id);
    });

    await step.run("email-user", async () => {
      return sendEmail(event.data.user, data);
    });
  },
);

await client.serve();
