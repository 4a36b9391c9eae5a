"""A bounded map of a tree: what is where, with counts for what does not fit. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

LINES = 150  # of the map
PER_FOLDER = 30  # files named in one folder


def tree_map(paths: Iterable[str], *, lines: int = LINES) -> str:
    """The files of a tree, one folder a line with its files, shallow folders first, at most `lines` lines.

    Folders that do not fit are counted in their nearest listed parent. Ends with how many files there are.
    """
    folders: dict[str, list[str]] = {}
    total = 0
    for path in sorted(paths):
        folder, _, name = path.rpartition("/")
        folders.setdefault(folder, []).append(name)
        total += 1
    listed = sorted(folders, key=lambda folder: (folder.count("/") + bool(folder), folder))[:lines]
    hidden = _hidden(folders, set(listed))
    shown = [_line(folder, folders[folder], hidden[folder]) for folder in sorted(listed)]
    rest = f" ({hidden['']} of them in folders not shown)" if "" not in folders and hidden[""] else ""
    return "\n".join([*shown, f"{total} files{rest}"])


def _line(folder: str, names: Sequence[str], below: int) -> str:
    named = ", ".join(names[:PER_FOLDER])
    more = f", and {len(names) - PER_FOLDER} more" if len(names) > PER_FOLDER else ""
    deeper = f"; {below} files in folders below" if below else ""
    return f"{folder or '.'}/: {named}{more}{deeper}"


def _hidden(folders: dict[str, list[str]], listed: set[str]) -> Counter[str]:
    """How many files of folders that are not listed lie below each folder that is."""
    found: Counter[str] = Counter()
    for folder, names in folders.items():
        if folder not in listed:
            parent = folder
            while parent and parent not in listed:
                parent = parent.rpartition("/")[0]
            found[parent] += len(names)
    return found
