"""The Python worker under test: serves the functions of a file, as `conformance/README.md` says, until SIGTERM.

STEPLANE_ADDRESS=127.0.0.1:7100 STEPLANE_SCRIPTS=scripts.json python sdk_py/conformance/worker.py
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from script import retry_of, run_script

import steplane


def main() -> None:
    """Serve what the file says."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    scripts = json.loads(Path(os.environ["STEPLANE_SCRIPTS"]).read_bytes())
    client = steplane.Steplane(app_id=scripts["app_id"])
    for function in scripts["functions"]:
        define(client, function)
    client.worker(slots=scripts["slots"]).run()


def define(client: steplane.Steplane, function: Mapping[str, Any]) -> None:
    """Define one function of the file."""

    @client.create_function(
        fn_id=function["id"],
        trigger=[trigger_of(each) for each in function.get("triggers", [])],
        retries=function.get("retries"),
        retry=retry_of(function.get("retry")),
    )
    async def scripted(ctx: steplane.Context) -> Any:
        return await run_script(ctx, function["script"])


def trigger_of(trigger: Mapping[str, str]) -> steplane.TriggerEvent | steplane.TriggerCron:
    """A trigger of the file."""
    if "cron" in trigger:
        return steplane.TriggerCron(cron=trigger["cron"], tz=trigger.get("tz", ""))
    return steplane.TriggerEvent(event=trigger["event"], expression=trigger.get("expression", ""))


if __name__ == "__main__":
    main()
