"""A case: what functions do, what happens to them, and what has to come of it. Read from YAML; all mistakes are told.

In a case's texts `CASE` stands for its name, so that the names of its functions, events and signals are its own. A case
with one function has its `script` itself, and what is expected of its one run in `expect` itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, Final

import yaml

FOLDER: Final = Path(__file__).parent / "cases"
EXCLUSIONS: Final = Path(__file__).parent / "exclusions.yaml"

#: The same in C, and ten times as fast, where there is one.
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

#: What a fault can do, and whether that is to the whole worker, its connection or the server: such cases play alone.
ACTIONS: Final = {
    "cancel run": False,
    "delay": False,
    "hold": False,
    "nothing": False,
    "repeat": False,
    "repeat ack": False,
    "send": False,
    "drop": False,
    "stale": False,
    "cut": True,
    "drain server": True,
    "freeze worker": True,
    "kill server": True,
    "kill worker": True,
    "stop worker": True,
}
#: What is done to reports only.
_OF_REPORTS: Final = ("hold", "repeat ack")
#: Moments at which a fault can happen: each with a step's key, but for those that need none.
MOMENTS: Final = {"report", "ack", "resolution", "invocation", "part", "cancellation", "forgotten"}

_FUNCTION: Final = {"trigger", "retries", "retry", "script"}
_CASE: Final = {
    "name",
    "proves",
    "functions",
    "redeployed",
    "data",
    "send",
    "alone",
    "impatient",
    "watch_ms",
    "faults",
    "expect",
} | _FUNCTION
_FAULT: Final = {"at", "nth", "run", "do", "ms", "until", "send"}
_RUN: Final = {"function", "state", "output", "failure", "journal", "epoch", "reports", "order"}
_EXPECT: Final = {"runs", "lineage"} | _RUN


class CaseError(Exception):
    """A case can't be one."""


class Patience(Enum):
    """For whom the server of a case keeps runs. Where no case asks for less it is long, so that a slow machine costs none."""

    LONG = "long"
    """For whoever comes back."""
    WITH_THE_CONNECTED = "with the connected"
    """Not for a worker whose connection broke, as it does when its process ends."""
    SHORT = "short"
    """Not for one that sends no heartbeats either, which are asked for every two seconds."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Something that goes wrong, at a moment of a run."""

    moment: str
    """`report a#0`: as the worker's report of that step comes; `ack`, `resolution`: as the server's answer does, an ack being
    one that says that it is recorded. Instead of a step's key: `end` and `park`. `invocation`, `part` (of a journal) and `cancellation`: as one is
    to be told. `forgotten`: as a heartbeat comes that lacks a lease which the worker was told to stop."""
    action: str
    nth: int = 1
    """Which such moment."""
    function: str = ""
    """Of a run of which function; of any if empty."""
    milliseconds: int = 0
    """How long the action `delay` holds things up."""
    until: str = ""
    """The moment of the same run until which the action `hold` holds its reports up."""
    events: Sequence[Mapping[str, Any]] = ()
    """What the action `send` sends."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One case."""

    name: str
    subject: str
    """The file that it is in."""
    proves: str
    functions: Sequence[Mapping[str, Any]]
    """For the worker, as `STEPLANE_SCRIPTS` has them."""
    redeployed: Sequence[Mapping[str, Any]]
    """Those of workers that start after the first one, if they are others."""
    send: Sequence[Mapping[str, Any]]
    """The events that begin it."""
    faults: Sequence[Fault] = field(default_factory=tuple)
    runs: Sequence[Mapping[str, Any]] = ()
    """What is expected of each run."""
    lineage: str = ""
    """What is expected to have come of the first event, as a tree of lines."""

    is_alone: bool = False
    """Whether it needs a worker of its own."""
    patience: Patience = Patience.LONG
    watch_seconds: float = 0.0
    """How long the worker is watched when all runs have ended, as it could still do what it must not."""

    @property
    def breaks_server(self) -> bool:
        """Whether it needs a server of its own."""
        return any(fault.action.endswith(" server") for fault in self.faults)


def load(folder: Path = FOLDER) -> list[Case]:
    """All cases, in the order of their files. Raises `CaseError`."""
    cases = [case for path in sorted(folder.glob("*.yaml")) for case in _load_file(path)]
    names = [case.name for case in cases]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise CaseError(f"cases of the same name: {', '.join(sorted(twice))}")
    return cases


def exclusions(path: Path = EXCLUSIONS) -> set[str]:
    """The cases that do not count. Nothing is to be released while there are any."""
    return set(yaml.safe_load(path.read_text()) or [])


def _load_file(path: Path) -> Iterator[Case]:
    try:
        listed = yaml.load(path.read_text(), Loader=_LOADER)
    except yaml.YAMLError as error:
        raise CaseError(f"{path.name}: {error}") from error
    for raw in listed:
        name = str(raw.get("name"))
        try:
            yield _case(_named(raw, name), path.stem)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CaseError(f"{path.name}: case {name!r}: {error!r}") from error


def _case(raw: Mapping[str, Any], subject: str) -> Case:
    _known(raw, _CASE)
    name, expect = raw["name"], _known(raw["expect"], _EXPECT)
    alone = {key: raw[key] for key in _FUNCTION & raw.keys()}
    functions = [_function(*item) for item in raw.get("functions", {name: alone}).items()]
    redeployed = [_function(*item) for item in raw.get("redeployed", {}).items()]
    faults = [_fault(each) for each in raw.get("faults", [])]
    return Case(
        name=name,
        subject=subject,
        proves=" ".join(raw["proves"].split()),
        functions=functions,
        redeployed=redeployed or functions,
        send=raw.get("send", [{"name": f"{name}/start", "data": raw.get("data", {})}]),
        faults=faults,
        runs=[_known({"function": name, **each}, _RUN) for each in expect.get("runs", [_without(expect, "lineage")])],
        lineage=expect.get("lineage", ""),
        watch_seconds=raw.get("watch_ms", 0) / 1000,
        is_alone=raw.get("alone", False) or any(ACTIONS[fault.action] for fault in faults),
        patience=_patience(raw, faults),
    )


def _patience(raw: Mapping[str, Any], faults: Sequence[Fault]) -> Patience:
    if raw.get("impatient", False) or any(fault.action == "freeze worker" for fault in faults):
        return Patience.SHORT
    ends_worker = any(fault.action in ("kill worker", "stop worker") for fault in faults)
    return Patience.WITH_THE_CONNECTED if ends_worker else Patience.LONG


def _function(function_id: str, raw: Mapping[str, Any]) -> Mapping[str, Any]:
    _known(raw, _FUNCTION)
    options = {key: raw[key] for key in ("retries", "retry") if key in raw}
    triggers = [{"event": raw.get("trigger", f"{function_id}/start")}]
    return {"id": function_id, "triggers": triggers, **options, "script": raw["script"]}


def _fault(raw: Mapping[str, Any]) -> Fault:
    _known(raw, _FAULT)
    if raw["do"] not in ACTIONS:
        raise ValueError(f"{raw['do']!r} is none of {', '.join(ACTIONS)}")
    if raw["do"] in _OF_REPORTS and not raw["at"].startswith("report "):
        raise ValueError(f"{raw['do']!r} is for reports")
    until = [raw["until"]] if raw["do"] == "hold" else []
    for moment in [raw["at"], *until]:
        if moment.split()[0] not in MOMENTS:
            raise ValueError(f"{moment!r} is no moment: it begins with one of {', '.join(sorted(MOMENTS))}")
    return Fault(
        moment=raw["at"],
        action=raw["do"],
        nth=raw.get("nth", 1),
        function=raw.get("run", ""),
        milliseconds=raw.get("ms", 0),
        until=raw.get("until", ""),
        events=raw.get("send", ()),
    )


def _known(raw: Mapping[str, Any], names: set[str]) -> Mapping[str, Any]:
    unknown = set(raw) - names
    if unknown:
        raise ValueError(f"unknown: {', '.join(sorted(unknown))}; known are {', '.join(sorted(names))}")
    return raw


def _without(raw: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return {key: value for key, value in raw.items() if key != name}


def _named(value: Any, name: str) -> Any:
    """The same, with the case's name for each `CASE`."""
    if isinstance(value, str):
        return value.replace("CASE", name)
    if isinstance(value, list):
        return [_named(each, name) for each in value]
    if isinstance(value, dict):
        return {_named(key, name): _named(each, name) for key, each in value.items()}
    return value
