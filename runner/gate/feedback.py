"""What the implementer is shown of a verdict that did not pass: names, messages, how it ended, and the log's ends."""

from __future__ import annotations

from collections.abc import Iterable

from runner.gate.verdict import Failing, Verdict

MAX_TESTS = 40  # ids shown per list
MAX_MESSAGE = 600  # characters shown per test
MAX_NAME = 300


def evidence_text(verdict: Verdict, log: bytes = b"", omitted: int = 0, *, limit: int = 16_000) -> str:
    """The text, of at most about `limit` characters: failing ids first, then the log's head and tail.

    `log` is the output of the run that `verdict.shown` names, `omitted` the bytes that were already left out in its
    middle. The text is untrusted: the caller fences it as data.
    """
    lines = [f"gate {verdict.gate}: {verdict.status}" + (f" ({verdict.reason})" if verdict.reason else "")]
    lines.append(verdict.summary)
    if verdict.shown == "K":
        lines.append(
            "This is your change with the protected files (tests, their data, runner configuration) as they are on "
            "the landing branch: what they demand still holds."
        )
    if verdict.paths and verdict.reason == "needs-permission":
        lines += ["These files need a permission to change:", *_names(verdict.paths)]
    elif verdict.paths:
        lines += ["Paths:", *_names(verdict.paths)]
    lines += _failing("Cannot be collected:", verdict.uncollected)
    lines += _failing("Red:", verdict.failing)
    if verdict.missing:
        lines += ["Did not report, though they pass on the landing branch:", *_names(verdict.missing)]
    if verdict.newly_skipped:
        lines += ["Newly skipped or marked as expected to fail:", *_names(verdict.newly_skipped)]
    if verdict.old_reds:
        lines.append(f"Red on the landing branch already, not your doing: {len(verdict.old_reds)}")
    text = _cut("\n".join(lines), limit * 3 // 4)
    room = limit - len(text)
    return text + (f"\nThe log of the command:\n{log_ends(log, omitted, room)}" if log else "")


def log_ends(log: bytes, omitted: int, room: int) -> str:
    """A quarter of `room` bytes from the log's head and the rest from its tail, saying how much lies between.

    `omitted` bytes are missing in the middle of `log` already, and count.
    """
    head, tail = room // 4, room - room // 4
    if len(log) <= room:
        if not omitted:
            return _text(log)
        head, tail = len(log) // 2, len(log) - len(log) // 2
    left_out = len(log) - head - tail + omitted
    end = log[len(log) - tail :] if tail else b""
    return f"{_text(log[:head])}\n[{left_out} bytes left out]\n{_text(end)}"


def _text(part: bytes) -> str:
    return part.decode("utf-8", "replace")


def _names(names: Iterable[str]) -> list[str]:
    every = list(names)
    shown = [f"- {_cut(name, MAX_NAME)}" for name in every[:MAX_TESTS]]
    return shown + ([f"- and {len(every) - MAX_TESTS} more"] if len(every) > MAX_TESTS else [])


def _failing(title: str, failing: tuple[Failing, ...]) -> list[str]:
    if not failing:
        return []
    lines = [title]
    for one in failing[:MAX_TESTS]:
        lines.append(f"- {_cut(one.test, MAX_NAME)}")
        lines += [f"    {line}" for line in _cut(one.message, MAX_MESSAGE).splitlines()]
    return lines + ([f"- and {len(failing) - MAX_TESTS} more"] if len(failing) > MAX_TESTS else [])


def _cut(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n[{len(text) - 2 * half} characters left out]\n{text[len(text) - half :]}"
