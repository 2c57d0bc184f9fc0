"""What a shop does with an order: steps side by side, a declined card, a busy bank, a night's sleep, and child events.

`orders.py NOTES`: the code of a step notes in the file NOTES that it begins.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from datetime import timedelta
from typing import Any

import steplane

client = steplane.Steplane(app_id="shop")
notes = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def note(run_id: str, step: str) -> None:
    """Note that a step begins, and in which trace."""
    os.write(notes, f"{run_id} {step} {steplane.current_traceparent()} {time.time_ns() // 1000}\n".encode())


@client.create_function(
    fn_id="fulfil",
    trigger=steplane.TriggerEvent(event="shop/order.placed", expression="event.data.items.size() > 0"),
    retry=steplane.Retry(attempts=5, first_delay=timedelta(milliseconds=20), factor=1),
)
async def fulfil(ctx: steplane.Context) -> dict[str, Any]:
    """Reserve everything side by side, pay, wait until it is packed, tell everybody."""
    items = ctx.event.data["items"]

    async def reserve(item: str) -> str:
        note(ctx.run_id, f"reserve-{item}")
        return item.upper()

    reserved = await asyncio.gather(*(ctx.step.run(f"reserve-{item}", reserve, item) for item in items))
    paid_by = await pay(ctx)
    await ctx.step.sleep("until-it-is-packed", timedelta(milliseconds=300))
    ids = await ctx.step.send_event(
        "tell", [steplane.Event(name="shop/item.shipped", data={"item": item}) for item in reserved]
    )
    return {"reserved": reserved, "paid_by": paid_by, "told": len(ids), "trace": ctx.traceparent}


async def pay(ctx: steplane.Context) -> str:
    """By gift card; if that is declined by bank transfer, where the bank is busy at first."""

    async def charge_gift_card() -> None:
        note(ctx.run_id, "gift-card")
        raise steplane.NonRetriableError("the gift card is empty")

    async def transfer() -> None:
        note(ctx.run_id, "transfer")
        if is_busy.pop(ctx.run_id, True):
            is_busy[ctx.run_id] = False
            raise steplane.RetryAfterError("the bank is busy", timedelta(seconds=1))

    try:
        await ctx.step.run("gift-card", charge_gift_card)
    except steplane.StepError as error:
        ctx.logger.info("declined: %s", error.message)
        await ctx.step.run("transfer", transfer)
        return f"transfer, as {error.message}"
    return "gift card"


is_busy: dict[str, bool] = {}


@client.create_function(fn_id="thank", trigger=steplane.TriggerEvent(event="shop/item.*"))
def thank(ctx: steplane.ContextSync) -> list[str]:
    """A plain function, whose steps run in threads."""

    def write(how: str) -> str:
        note(ctx.run_id, f"write-{how}")
        return f"{how}: {ctx.event.data['item']}"

    return list(
        ctx.group.parallel([lambda how=how: ctx.step.run(f"write-{how}", write, how) for how in ("mail", "letter")])
    )


@client.create_function(
    fn_id="audit",
    trigger=steplane.TriggerEvent(event="shop/order.audited"),
    retry=steplane.Retry(attempts=2, first_delay=timedelta(milliseconds=20)),
)
async def audit(ctx: steplane.Context) -> None:
    """A step that always fails, and nobody catches it."""

    async def look() -> None:
        note(ctx.run_id, "look")
        raise LookupError("the books are gone")

    await ctx.step.run("look", look)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    client.worker(slots=10).run()
