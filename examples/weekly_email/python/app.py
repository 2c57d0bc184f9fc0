"""A weekly activity e-mail for every user: a schedule that fans out.

Every Friday at noon one function fetches all users and sends an event for each; a second one is started by each of these
events, and writes that user an e-mail in two steps. All of them run side by side, and each is tried again on its own.

    steplane serve                                # in one terminal
    python examples/weekly_email/python/app.py    # in another
    steplane trigger weekly-email-python/weekly-activity-load-users --wait
"""

import asyncio
import logging
import os
import time

import steplane

LANGUAGE = "python"
NAMES = ["Ada", "Barbara", "Claude", "Dora", "Edsger", "Frances", "Grace", "Hedy", "Ivan", "John", "Katie", "Leslie"]

client = steplane.Steplane(app_id="weekly-email-python")


async def fetch_users(languages: list[str]) -> list[dict[str, str]]:
    """Ask the user database. Of these users one after the other likes one of the languages."""
    note("fetch-users")
    await asyncio.sleep(0.25)
    return [
        {"id": f"u{number}", "name": name, "language": languages[number % len(languages)]}
        for number, name in enumerate(NAMES)
    ]


async def load_user_data(user_id: str) -> dict[str, int]:
    """Ask for a user's week."""
    note("load-user-data")
    await asyncio.sleep(0.25)
    return {"logins": len(user_id) + int(user_id[1:])}


async def send_email(user: dict[str, str], data: dict[str, int]) -> str:
    """Hand an e-mail to the mail server."""
    note("email-user")
    await asyncio.sleep(0.25)
    return f"Hello {user['name']}, you were here {data['logins']} times this week."


@client.create_function(
    fn_id="weekly-activity-load-users",
    trigger=steplane.TriggerCron(cron="0 12 * * 5", tz="Europe/Berlin"),
)
async def load_users(ctx: steplane.Context) -> dict[str, int]:
    """Fetch all users, and send an event for each."""
    # Who starts this by hand can ask for users of other languages too: '{"languages": ["python", "go"]}'.
    languages = ctx.event.data.get("languages", [LANGUAGE])
    users = await ctx.step.run("fetch-users", fetch_users, languages)
    await ctx.step.send_event(
        "fan-out-weekly-emails",
        [steplane.Event(name="app/weekly-email-activity.send", data={"user": user}) for user in users],
    )
    ctx.logger.info("sent %d events", len(users))
    return {"count": len(users)}


@client.create_function(
    fn_id="weekly-activity-send-email",
    trigger=steplane.TriggerEvent(
        event="app/weekly-email-activity.send",
        # The programs in the other languages take the other users.
        expression=f"event.data.user.language == '{LANGUAGE}'",
    ),
)
async def send_reminder(ctx: steplane.Context) -> str:
    """Write one user an e-mail."""
    user = ctx.event.data["user"]
    data = await ctx.step.run("load-user-data", load_user_data, user["id"])
    return await ctx.step.run("email-user", send_email, user, data)


def note(step: str) -> None:
    """Note that the code of a step begins, if somebody wants to count (the demo does)."""
    path = os.environ.get("WEEKLY_EMAIL_NOTES")
    if path is not None:
        span = steplane.current_traceparent().split("-")[2]
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(descriptor, f"{span} {step} {time.time_ns() // 1000}\n".encode())
        os.close(descriptor)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    client.worker(slots=2).run()
