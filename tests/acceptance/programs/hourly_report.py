"""A function with nothing but a schedule."""

from __future__ import annotations

import logging

import steplane

client = steplane.Steplane(app_id="reports")


@client.create_function(fn_id="hourly-report", trigger=steplane.TriggerCron(cron="0 * * * *"))
async def report(ctx: steplane.Context) -> str:
    """Say which hour it is."""
    return str(ctx.event.data["tick"])


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    client.worker().run()
