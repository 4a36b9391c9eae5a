"""Notes, written by compare-and-swap: `git notes append` loses lines when two write at the same time.

The format is git's own (git-notes): a commit whose tree has a blob per annotated object, named by its id, which may be
cut into folders of two digits.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from runner.git.command import GitError, RefMoved
from runner.git.history import tree_of
from runner.git.objects import FILE, Reader, read_blob, reader, write_blob, write_commit
from runner.git.refs import RefUpdate, move
from runner.git.refs import read as read_ref
from runner.git.repo import Repository
from runner.git.trees import write_tree_with

_TRIES = 1000


def read(repository: Repository, ref: str, annotated: str) -> tuple[str, ...]:
    """The lines of the note that `ref` (`refs/notes/relay/gate`) has for an object; none when there is no note."""
    tip = read_ref(repository, ref)
    if tip is None:
        return ()
    with reader(repository) as objects:
        _, blob = _place(objects, tree_of(repository, tip), annotated)
    return _lines(read_blob(repository, blob)) if blob else ()


def add(repository: Repository, ref: str, annotated: str, line: str, *, now: Callable[[], float] = time.time) -> None:
    """Append one line to the note of an object, once: a line that is there already is not added again.

    Every other writer's lines are kept, whoever wins. Raises ValueError for text of several lines, GitError when the
    ref stays contended or a lock file is in the way.
    """
    if not line or "\n" in line:
        raise ValueError("a note is added line by line")
    for _ in range(_TRIES):
        tip = read_ref(repository, ref)
        tree = tree_of(repository, tip) if tip else None
        path, blob = annotated.encode(), None
        if tree is not None:
            with reader(repository) as objects:
                path, blob = _place(objects, tree, annotated)
        old = read_blob(repository, blob) if blob else b""
        if line in _lines(old):
            return
        if old and not old.endswith(b"\n"):
            old += b"\n"
        new = write_blob(repository, old + line.encode("utf-8", "backslashreplace") + b"\n")
        changed = write_tree_with(repository, tree, {path: (FILE, new)})
        parents = [tip] if tip else []
        commit = write_commit(repository, changed, parents, "Notes added by relay", when=int(now()))
        try:
            return move(repository, [RefUpdate(ref, commit, tip)])
        except RefMoved:
            continue
    raise GitError(f"{ref} is being rewritten by others all the time: stop them, or look with `git log {ref}`")


def _place(objects: Reader, tree: str, annotated: str) -> tuple[bytes, str | None]:
    """The path where the note of an object stands, or belongs, and its blob if there is one."""
    done, rest = b"", annotated.encode()
    while True:
        entries = objects.tree(tree)
        if rest in entries:
            return done + rest, entries[rest].id
        below = entries.get(rest[:2])
        if below is None or below.kind != "tree":
            cut = any(len(name) == 2 and entry.kind == "tree" for name, entry in entries.items())
            return (done + rest[:2] + b"/" + rest[2:] if cut else done + rest), None
        done, rest, tree = done + rest[:2] + b"/", rest[2:], below.id


def _lines(content: bytes) -> tuple[str, ...]:
    return tuple(line for line in content.decode("utf-8", "replace").split("\n") if line)
