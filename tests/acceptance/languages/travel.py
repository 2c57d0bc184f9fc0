"""The Python app of a trip: asks for offers, each of which a function in TypeScript makes.

`travel.py FOLDER`: a step notes in the folder's file `notes` that its code begins. While there is a file `hold-travel`, the last
step never ends: whoever made that file kills this process there.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from pathlib import Path
from typing import Any

import steplane

folder = Path(sys.argv[1])
notes = os.open(folder / "notes", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
client = steplane.Steplane(app_id="travel")


@client.create_function(fn_id="plan", trigger=steplane.TriggerEvent(event="travel/trip.asked"))
async def plan(ctx: steplane.Context) -> dict[str, Any]:
    """Three steps: what is needed, an event for each, the end."""

    async def needs() -> list[str]:
        os.write(notes, b"plan/needs\n")
        return ["hotel", "train", "guide"]

    async def close() -> str:
        os.write(notes, b"plan/close\n")
        if (folder / "hold-travel").exists():
            await asyncio.Event().wait()
        return "closed"

    needed = await ctx.step.run("needs", needs)
    events = [steplane.Event(name="travel/offer.wanted", data={"kind": kind, "nights": 3}) for kind in needed]
    ids = await ctx.step.send_event("ask", events)
    return {"asked": len(ids), "state": await ctx.step.run("close", close)}


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    client.worker().run()
