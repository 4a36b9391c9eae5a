"""Where the files that a pipeline names come from: the folder it lies in, or what a run has frozen."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from fnmatch import translate
from pathlib import Path
from typing import Protocol

WILD = frozenset("*?[")


class FileRefused(Exception):
    """A file cannot be read; the text says why, `hint` what to do."""

    def __init__(self, why: str, hint: str) -> None:
        super().__init__(why)
        self.hint = hint


class Files(Protocol):
    """Files by the names that the pipeline uses, relative to its folder."""

    def read(self, name: str, most: int) -> bytes:
        """The whole file. Raises FileRefused when it is missing, no regular file, or longer than `most` bytes."""
        ...

    def match(self, pattern: str) -> list[str]:
        """The names of the regular files that a pattern with `*`, `?`, `[...]` and `**` means, sorted."""
        ...

    def shown(self, name: str) -> str:
        """The name as messages give it."""
        ...


class FrozenFiles:
    """Files as they were when a run began."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._files = files

    def read(self, name: str, most: int) -> bytes:
        if name not in self._files:
            raise FileRefused(f"`{name}` is not among the frozen files", "the run's record is damaged")
        return self._files[name]

    def match(self, pattern: str) -> list[str]:
        parts = pattern.split("/")
        return sorted(name for name in self._files if _fits(name.split("/"), parts))

    def shown(self, name: str) -> str:
        return name


class FolderFiles:
    """Files of a folder on this machine."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, name: str, most: int) -> bytes:
        path = self._folder / name
        try:
            if path.is_dir():
                raise FileRefused("it is a directory", "name a file")
            if not path.exists():
                raise FileRefused("no such file", f"looked for {path}")
            if not path.is_file():
                raise FileRefused("it is no regular file", "name a regular file")
            with path.open("rb") as file:
                content = file.read(most + 1)
        except (OSError, ValueError) as error:
            reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
            raise FileRefused(f"it cannot be read ({reason.lower()})", "check its path and permissions") from None
        if len(content) > most:
            raise FileRefused(f"it is longer than {most // 1024} KiB", "make it shorter")
        return content

    def match(self, pattern: str) -> list[str]:
        start, parts = ("/", pattern.lstrip("/").split("/")) if pattern.startswith("/") else ("", pattern.split("/"))
        return sorted(set(_walk(self._folder, start, parts)))

    def shown(self, name: str) -> str:
        return str(self._folder / name)


def _segment(pattern: str) -> re.Pattern[str]:
    return re.compile(translate(pattern))


def _fits(name: list[str], parts: list[str]) -> bool:
    """Whether the parts of a name are what the parts of a pattern mean. `*` means no hidden name."""
    if not parts or not name:
        return not parts and not name
    if parts[0] == "**":
        return _fits(name, parts[1:]) or (not name[0].startswith(".") and _fits(name[1:], parts))
    return _is(name[0], parts[0]) and _fits(name[1:], parts[1:])


def _is(name: str, part: str) -> bool:
    if not WILD & set(part):
        return name == part
    hidden = name.startswith(".") and not part.startswith(".")
    return not hidden and bool(_segment(part).match(name))


def _walk(folder: Path, start: str, parts: list[str]) -> Iterator[str]:
    """The names below `folder / start` that fit, each beginning with `start`. Unreadable folders hold nothing."""
    part, rest = parts[0], parts[1:]
    if not WILD & set(part):
        if rest:
            yield from _walk(folder, f"{start}{part}/", rest)
        elif (folder / start / part).is_file():
            yield start + part
    elif part == "**":
        yield from _walk(folder, start, rest or ["*"])
        for entry in _entries(folder / start):
            if entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."):
                yield from _walk(folder, f"{start}{entry.name}/", parts)
    else:
        for entry in _entries(folder / start):
            if not _is(entry.name, part):
                continue
            if rest:
                yield from _walk(folder, f"{start}{entry.name}/", rest)
            elif entry.is_file():
                yield start + entry.name


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        return sorted(os.scandir(folder), key=lambda entry: entry.name)
    except (OSError, ValueError):
        return []
