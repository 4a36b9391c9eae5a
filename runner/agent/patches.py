"""A patch as a reviewer gets it: complete, or with every file that was left out named by path and size. Pure."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from runner.agent.outputs import is_binary, readable

DIFF_LIMIT = 160_000  # bytes of a patch that go into an opening; about 45k tokens


@dataclass(frozen=True)
class Cut:
    """A file's patch that was left out: whose, how many bytes, why."""

    path: str
    size: int
    why: str


@dataclass(frozen=True)
class Shown:
    """The part of a patch that is shown, and what is not in it."""

    text: str
    cut: tuple[Cut, ...] = ()

    @property
    def is_complete(self) -> bool:
        return not self.cut


def bounded(patch: bytes, limit: int = DIFF_LIMIT) -> Shown:
    """Whole files of a git patch, in order, small ones before large where they do not all fit.

    A file with NUL bytes is never shown, but named with the hash of its patch.
    """
    files = _files(patch)
    wanted = sorted((n for n, part in enumerate(files) if not _has_nul(part)), key=lambda n: len(files[n]))
    chosen: set[int] = set()
    room = limit
    for number in wanted:
        if len(files[number]) > room:
            break
        room -= len(files[number])
        chosen.add(number)
    cut = tuple(_cut(part) for number, part in enumerate(files) if number not in chosen)
    return Shown("".join(readable(files[number], lone_cr="\r") for number in sorted(chosen)), cut)


def _files(patch: bytes) -> list[bytes]:
    """The patch at its `diff --git` lines; a line of content always begins with a space, + or -."""
    starts = [0] if patch.startswith(b"diff --git ") else []
    place = patch.find(b"\ndiff --git ")
    while place >= 0:
        starts.append(place + 1)
        place = patch.find(b"\ndiff --git ", place + 1)
    ends = [*starts[1:], len(patch)] if starts else []
    return [patch[start:end] for start, end in zip(starts, ends, strict=True)]


def _has_nul(part: bytes) -> bool:
    return is_binary(part) or b"\0" in part


def _cut(part: bytes) -> Cut:
    first = readable(part.split(b"\n", 1)[0].removeprefix(b"diff --git "))
    half = len(first) // 2
    # `a/x b/x`: both halves name the same file, unless it was renamed.
    path = first[2:half] if first[2:half] == first[half + 3 :] else first
    if _has_nul(part):
        return Cut(path, len(part), f"not text; sha256 of its patch {hashlib.sha256(part).hexdigest()[:16]}")
    return Cut(path, len(part), "too large to show")
