"""What passed a relay, and what went wrong there, as lines of text: for whoever wonders why a case failed."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Final

from google.protobuf import text_format

from conformance.case import Fault
from controlplane.gen.steplane.v1 import work_pb2

if TYPE_CHECKING:
    from conformance.seen import StreamSeen

#: Frames that are larger are not shown in full.
_BYTES_MAX: Final = 20_000


class Transcript:
    """Of one rig. Lines begin with the seconds since its start, and the number of the worker and of its stream."""

    def __init__(self, path: Path | None) -> None:
        """Without a path it is none."""
        self._file = path.open("w") if path is not None else None
        self._begin = monotonic()

    def sent(self, seen: StreamSeen, frame: work_pb2.StreamWorkRequest) -> None:
        """A frame came from a worker."""
        self._frame(seen, "──▶", frame)

    def told(self, seen: StreamSeen, frame: work_pb2.StreamWorkResponse) -> None:
        """A frame is written to a worker."""
        self._frame(seen, "◀──", frame)

    def fault(self, fault: Fault) -> None:
        """A fault happens."""
        detail = f" until {fault.until}" if fault.until else ""
        self._write(f"✗ at {fault.moment}: {fault.action}{detail}")

    def close(self) -> None:
        """There is no more."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _frame(
        self, seen: StreamSeen, arrow: str, frame: work_pb2.StreamWorkRequest | work_pb2.StreamWorkResponse
    ) -> None:
        if self._file is not None:
            size = frame.ByteSize()
            text = text_format.MessageToString(frame, as_one_line=True, as_utf8=True) if size <= _BYTES_MAX else ""
            shown = text or f"{frame.WhichOneof('frame')} of {size} bytes"
            self._write(f"{seen.worker}.{seen.number} {arrow} {shown}")

    def _write(self, line: str) -> None:
        if self._file is not None:
            # A full disk is no reason to break off.
            with suppress(OSError):
                print(f"{monotonic() - self._begin:8.3f}  {line}", file=self._file, flush=True)
