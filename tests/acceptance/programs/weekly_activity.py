"""The guide's program in our words: a schedule fans out, an event for each user, and each of these writes one e-mail.

`weekly_activity.py MAILBOX`: an e-mail is a line that is appended to the file MAILBOX.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from typing import Any

import steplane

client = steplane.Steplane(app_id="signup-flow")
mailbox = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT)


async def fetch_users() -> list[dict[str, Any]]:
    """Ask the user database."""
    await asyncio.sleep(0.01)
    return [{"id": f"u{number}", "email": f"u{number}@example.com"} for number in range(25)]


async def load_user_data(user_id: str) -> dict[str, Any]:
    """Ask for a user's week."""
    await asyncio.sleep(0.01)
    return {"posts": int(user_id[1:])}


async def send_email(user: dict[str, Any], data: dict[str, Any]) -> None:
    """Hand an e-mail to the mail server."""
    os.write(mailbox, f"{user['email']} wrote {data['posts']} posts\n".encode())


@client.create_function(fn_id="weekly-activity-load-users", trigger=steplane.TriggerCron(cron="0 12 * * 5"))
async def load_cron(ctx: steplane.Context) -> dict[str, int]:
    """Fetch all users, then send an event for each."""

    async def fetch() -> list[dict[str, Any]]:
        return await fetch_users()

    users = await ctx.step.run("fetch-users", fetch)
    events = []
    for user in users:
        events.append(steplane.Event(name="app/weekly-email-activity.send", data={**user, "user": user}))  # noqa: PERF401 as in the guide
    await ctx.step.send_event("fan-out-weekly-emails", events)
    return {"count": len(users)}


@client.create_function(
    fn_id="weekly-activity-send-email", trigger=steplane.TriggerEvent(event="app/weekly-email-activity.send")
)
async def send_reminder(ctx: steplane.Context) -> None:
    """Write one user an e-mail."""

    async def load_data() -> dict[str, Any]:
        return await load_user_data(ctx.event.data["user"]["id"])

    data = await ctx.step.run("load-user-data", load_data)

    async def send() -> None:
        await send_email(ctx.event.data["user"], data)

    await ctx.step.run("email-user", send)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    client.worker().run()
