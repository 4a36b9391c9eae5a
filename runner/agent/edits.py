"""Exact replacement of one piece of text, and what to say when it cannot be done. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import SequenceMatcher

NEAREST = 3  # places shown when the text is not found


@dataclass(frozen=True)
class Edited:
    """The new content, or with `error` why there is none. `was_applied`: an earlier, interrupted try did it."""

    content: str = ""
    error: str | None = None
    was_applied: bool = False


def replace_once(content: str, old: str, new: str, *, again: bool = False) -> Edited:
    """Put `new` in the place of the only `old`. With `again` the edit may have been done already: then it is left."""
    if not old:
        return Edited(error="old is empty: to make or replace a whole file use write")
    if old == new:
        return Edited(error="old and new are the same, so there is nothing to change")
    if again and _is_applied(content, old, new):
        return Edited(content, was_applied=True)
    count = content.count(old)
    if count == 1:
        return Edited(content.replace(old, new, 1))
    if count > 1:
        lines = ", ".join(str(line) for line in _lines_of(content, old))
        return Edited(error=f"old occurs {count} times, at lines {lines}: take in lines around it until it is unique")
    return Edited(error=_not_found(content, old))


def _is_applied(content: str, old: str, new: str) -> bool:
    if new not in content:
        return False
    return content.count(old) == content.count(new) * new.count(old)


def _lines_of(content: str, old: str) -> list[int]:
    found: list[int] = []
    start = content.find(old)
    while start >= 0 and len(found) < 20:
        found.append(content.count("\n", 0, start) + 1)
        start = content.find(old, start + len(old))
    return found


def _not_found(content: str, old: str) -> str:
    said = "old occurs 0 times in this file"
    if "\r\n" in content and "\r\n" not in old and old.replace("\n", "\r\n") in content:
        return f"{said}: its lines end in CR LF; write \\r\\n in old and new"
    where = _same_but_for_space(content, old)
    if where:
        return f"{said}, but at line {where} it stands with other white space: read the file and copy it exactly"
    lines = _nearest(content.split("\n"), old)
    if not lines:
        return f"{said}: read the file and copy the text exactly"
    shown = "\n".join(f"{number}\t{text[:200]}" for number, text in lines)
    return f"{said}. The nearest lines are:\n{shown}"


def _same_but_for_space(content: str, old: str) -> int | None:
    """The line at which `old` stands when indentation and spaces at line ends are not looked at."""
    wanted = [line.strip() for line in old.strip("\n").split("\n")]
    lines = [line.strip() for line in content.split("\n")]
    if not any(wanted):
        return None
    for start in range(len(lines) - len(wanted) + 1):
        if lines[start : start + len(wanted)] == wanted:
            return start + 1
    return None


def _nearest(lines: list[str], old: str) -> list[tuple[int, str]]:
    """The lines most like the longest line of `old`."""
    wanted = max((line.strip() for line in old.split("\n")), key=len)
    if not wanted:
        return []
    match = SequenceMatcher(b=wanted[:200], autojunk=False)
    scored = []
    for number, line in enumerate(lines[:20_000], start=1):
        match.set_seq1(line.strip()[:200])
        if match.real_quick_ratio() > 0.5 and match.quick_ratio() > 0.5 and (ratio := match.ratio()) > 0.5:
            scored.append((-ratio, number, line))
    return [(number, line) for _, number, line in sorted(scored)[:NEAREST]]
