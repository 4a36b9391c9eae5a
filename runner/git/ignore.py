"""Which new paths a tree's own `.gitignore` files leave out. git itself decides, in an empty tree that relay made.

Not by a library of patterns: a model writes these files, and `*a*a*a*a*a*b` keeps a regular expression busy for hours.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path

from runner.git.command import Handle, run
from runner.git.repo import Repository


def ignored(
    repository: Repository, rules: Mapping[bytes, bytes], paths: Collection[bytes], *, timeout: float = 60.0
) -> frozenset[bytes]:
    """Those of `paths` (files and links, none of them tracked) that are ignored.

    `rules` are the contents of the `.gitignore` files that count, by path. The user's own excludes never count. Raises
    GitTimeout when the patterns take longer than `timeout` seconds.
    """
    if not rules or not paths:
        return frozenset()
    with tempfile.TemporaryDirectory(prefix="relay-ignore-") as stub:
        # A pattern like `build/` asks whether a path is a folder, so the folders must be there; files need not.
        for folder in sorted({parent for path in (*paths, *rules) for parent in _parents(path)}):
            os.mkdir(os.path.join(os.fsencode(stub), folder))  # noqa: PTH102, PTH118 (paths are bytes)
        for path, content in rules.items():
            Path(stub, os.fsdecode(path)).write_bytes(content)
        # This command knows no literal pathspecs, and takes every path literally but for a magic word at its beginning.
        extra = {"GIT_WORK_TREE": stub, "GIT_LITERAL_PATHSPECS": ""}
        handle = Handle(Path(stub), {**repository.plumbing.variables, **extra})
        asked = b"".join(b"./%s\0" % path for path in paths)
        output = run(handle, "check-ignore", "--no-index", "--stdin", "-z", stdin=asked, accept=(0, 1), timeout=timeout)
    return frozenset(path.removeprefix(b"./") for path in output.stdout.split(b"\0")[:-1])


def _parents(path: bytes) -> list[bytes]:
    parts = path.split(b"/")
    return [b"/".join(parts[:end]) for end in range(1, len(parts))]
