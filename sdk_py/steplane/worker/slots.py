"""How many invocations the server may send: slots, and the cumulative credit that tells of them."""

from __future__ import annotations


class Slots:
    """The slots of a worker, over one stream after another. Not safe for threads; its outbox is."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.busy = 0
        self._received = 0
        self._granted = 0

    def reset(self) -> None:
        """A new stream: credit is counted from its start. What is held occupies its slots."""
        self._received = 0
        self._granted = 0

    def received(self) -> None:
        """An invocation came on this stream."""
        self._received += 1

    def credit(self) -> int | None:
        """The credit to send now, or `None` if what the server has left does for now.

        More is granted once half of the slots' worth is used up, so that a busy stream carries few such frames.
        """
        limit = self._received + max(self.count - self.busy, 0)
        if limit <= self._granted or self._granted - self._received > self.count // 2:
            return None
        self._granted = limit
        return limit
