"""What every renderer needs to know: the present, the time zone, and what the terminal can show."""

from __future__ import annotations

from datetime import tzinfo
from typing import TYPE_CHECKING, NamedTuple

from rich.text import Text

from controlplane.client_commands.show import times
from controlplane.client_commands.show.words import Look, printable

if TYPE_CHECKING:
    from controlplane.gen.steplane.v1 import payload_pb2


class Pen(NamedTuple):
    """Draws the small parts that all pages share, at one moment."""

    now: int
    """Microseconds since 1970."""
    zone: tzinfo | None = None
    """The machine's own if `None`."""
    is_ascii: bool = False

    def symbol(self, look: Look) -> Text:
        """The mark of a state."""
        return Text(look.ascii_symbol if self.is_ascii else look.symbol, look.style)

    def state(self, look: Look) -> Text:
        """The mark and the word of a state."""
        return self.symbol(look).append(f" {look.word}", look.style)

    def moment(self, moment: int) -> Text:
        """A moment, as it lies from now and by the clock; nothing if it never was."""
        if not moment:
            return Text("")
        return Text.assemble(
            times.relative(moment, self.now), (f" ({times.absolute(moment, self.zone)})", "dim"), no_wrap=True
        )

    def since(self, start: int, end: int) -> str:
        """How long something took from `start` to `end`, or has taken until now if `end` is 0."""
        return times.duration((end or self.now) - start)

    def failure(self, failure: payload_pb2.Failure) -> Text:
        """An error in one line."""
        first = failure.message.strip().partition("\n")[0]
        name = printable(failure.name)
        text = f"{name}: {printable(first)}" if name and first else name or printable(first)
        return Text(text, "red")
