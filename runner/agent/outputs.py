"""What a model gets to read of tool output: safe text, head and tail, and old results made short."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import replace

from runner.models.base import Entry, ToolResult

HEAD = 0.35  # of what is kept; what failed is usually told at the end
LEFT_OUT = re.compile(r"\n\[\.\.\. (\d+) bytes left out \.\.\.\]\n")
UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def readable(data: bytes, *, lone_cr: str = "\n") -> str:
    """Bytes as text that shows what is there: line ends become newlines, control characters and bad UTF-8 escapes.

    `lone_cr` is what a carriage return within a line becomes: of a progress bar a new line, of a file itself.
    """
    text = data.decode("utf-8", "backslashreplace").replace("\r\n", "\n").replace("\r", lone_cr)
    return UNSAFE.sub(lambda found: _escape(found.group()), text)


def is_binary(data: bytes) -> bool:
    """Whether a file is not worth showing as text: it has a NUL in its first 8 KiB."""
    return b"\0" in data[:8192]


def describe_binary(data: bytes) -> str:
    """What to say about a file that is no text."""
    return f"binary file, {len(data)} bytes, sha256 {hashlib.sha256(data).hexdigest()}"


def capped(text: str, limit: int, *, omitted: int = 0, seam: int | None = None) -> str:
    """At most about `limit` bytes of a text: its head and its tail, and between them how many bytes were left out.

    `omitted` bytes are missing already, at character `seam` of the text (None: at its middle).
    """
    size = len(text.encode())
    if size <= limit and not omitted:
        return text
    if size <= limit:
        seam = len(text) // 2 if seam is None else seam
        return f"{text[:seam]}\n[... {omitted} bytes left out ...]\n{text[seam:]}"
    head = _first_bytes(text, int(limit * HEAD))
    tail = _last_bytes(text, limit - int(limit * HEAD))
    middle = text[len(head) : len(text) - len(tail)]
    counts = [int(count) for count in LEFT_OUT.findall(middle)]
    gone = len(LEFT_OUT.sub("", middle).encode()) + omitted + sum(counts)
    return f"{head}\n[... {gone} bytes left out ...]\n{tail}"


def shortened(entries: Sequence[Entry], upto: int, keep: int) -> tuple[Entry, ...]:
    """The history with each tool result in its first `upto` entries cut down to about `keep` bytes."""
    return tuple(
        replace(entry, results=tuple(_short(result, keep) for result in entry.results)) if number < upto else entry
        for number, entry in enumerate(entries)
    )


def result_bytes(entries: Sequence[Entry]) -> int:
    """How many bytes of tool results are in a history."""
    return sum(len(result.text.encode()) for entry in entries for result in entry.results)


def entry_bytes(entry: Entry) -> int:
    """An upper bound, in bytes, of what an entry adds to a prompt, the names around it included."""
    if entry.user is not None:
        return len(entry.user.encode("utf-8", "replace")) + 16
    if entry.reply is not None:
        calls = sum(len(call.name) + len(call.raw_args or str(call.args)) + 64 for call in entry.reply.calls)
        return len(entry.reply.text.encode("utf-8", "replace")) + len(entry.reply.thinking) + calls + 16
    return sum(len(result.text.encode("utf-8", "replace")) + 64 for result in entry.results)


def _short(result: ToolResult, keep: int) -> ToolResult:
    if len(result.text.encode()) <= keep + 200:
        return result
    note = "\n[shortened to save room; call the tool again if you need the rest]"
    return replace(result, text=capped(result.text, keep) + note)


def _escape(character: str) -> str:
    return f"\\x{ord(character):02x}" if ord(character) < 256 else f"\\u{ord(character):04x}"


def _first_bytes(text: str, count: int) -> str:
    """The first bytes, up to the last whole line where that costs little."""
    piece = text.encode()[:count].decode("utf-8", "ignore")
    line = piece.rfind("\n")
    return piece[:line] if line > len(piece) // 2 else piece


def _last_bytes(text: str, count: int) -> str:
    piece = text.encode()[-count:].decode("utf-8", "ignore")
    line = piece.find("\n")
    return piece[line + 1 :] if 0 <= line < len(piece) // 2 else piece
