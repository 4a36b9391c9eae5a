"""The transcript of a turn: every reply and every result, on the disk before anything is done with it.

The live file holds the vendors' own words, so that a resume replays them; `masked` makes the copy for people.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from runner.agent.conversation import Record
from runner.agent.lines import Lines, read_lines
from runner.codec import CodecError, convert, encode, plain

Mask = Callable[[str], str]

DROPPED = ("wire", "raw_args")  # said again by text, calls and thinking, or opaque


class Transcript:
    """The open file of one turn. `records` are those found in it and those appended since."""

    def __init__(self, path: Path) -> None:
        """Open or create it (0600). A last line that a kill cut off is dropped. Raises LinesError."""
        self._lines = Lines(path)
        try:
            self.records = [convert(found, Record) for found in self._lines.found]
        except CodecError:
            self._lines.close()
            raise

    def append(self, record: Record) -> None:
        """Put one record on the disk."""
        self._lines.append(_lean(record))
        self.records.append(record)

    def close(self) -> None:
        self._lines.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def masked(data: bytes, mask: Mask, name: str = "transcript") -> bytes:
    """The transcript's bytes for git and for people: every string masked, without the vendors' opaque parts.

    Raises LinesError when the data is no transcript.
    """
    whole = data[: data.rfind(b"\n") + 1]
    return b"".join(encode(_masked(line, mask)) + b"\n" for line in read_lines(whole, name))


def _masked(value: Any, mask: Mask) -> Any:
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, dict):
        return {mask(key): _masked(item, mask) for key, item in value.items() if key not in DROPPED}
    if isinstance(value, list):
        return [_masked(item, mask) for item in value]
    return value


def _lean(record: Record) -> dict[str, Any]:
    """The record without the fields that say nothing."""
    written = {key: value for key, value in vars(record).items() if value not in ("", None, 0, False)}
    if record.reply is not None:
        written["reply"] = plain(record.reply)
    return {"kind": record.kind, **written, "at": round(record.at, 3)}
