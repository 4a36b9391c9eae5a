"""What would land: the merge of a change with the landing branch, made from objects alone."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from runner.git.command import GitError, Handle, explain, run
from runner.git.history import no_merge_base
from runner.git.objects import ls_tree, read_blobs
from runner.git.repo import Repository


@dataclass(frozen=True)
class Stage:
    """One version of a path in conflict. `stage` is 1 for the common ancestor, 2 for ours, 3 for theirs."""

    mode: int
    id: str
    stage: int


@dataclass(frozen=True)
class Merged:
    """A clean merge: the tree that would land."""

    tree: str


@dataclass(frozen=True)
class Conflict:
    """A merge that needs somebody: the tree with markers in it, the paths in conflict, and git's own messages."""

    tree: str
    paths: Mapping[bytes, tuple[Stage, ...]]
    messages: tuple[str, ...]


def merge(repository: Repository, ours: str, theirs: str) -> Merged | Conflict:
    """Merge two commits. `ours` is the landing branch: its `.gitattributes` say how (`merge=union`), and nothing else.

    The same two commits give the same result on every machine, whatever lies in the user's work tree and configuration;
    no merge driver of the user's runs. Raises GitError when the commits have no common ancestor here.
    """
    with tempfile.TemporaryDirectory(prefix="relay-merge-") as stub:
        _write_attributes(repository, ours, Path(stub))
        handle = Handle(Path(stub), {**repository.plumbing.variables, "GIT_WORK_TREE": stub})
        command = ("merge-tree", "--write-tree", "-z", "--messages", ours, theirs)
        output = run(handle, *command, accept=range(256))
    if output.status > 1:
        if "unrelated histories" in output.complaint:
            raise no_merge_base(repository, ours, theirs)
        raise GitError(explain(command, output))
    tree, _, rest = output.stdout.partition(b"\0")
    if output.status == 0:
        return Merged(tree.decode())
    return Conflict(tree.decode(), *_parse(rest))


def _write_attributes(repository: Repository, commit: str, stub: Path) -> None:
    """git reads attributes from a work tree: give it one that holds the landing branch's, and no other file."""
    wanted = {
        path: entry.id
        for path, entry in ls_tree(repository, commit).items()
        if path.split(b"/")[-1] == b".gitattributes" and entry.mode in (0o100644, 0o100755)
    }
    if not wanted:
        return
    contents = read_blobs(repository, wanted.values())
    for path, blob in wanted.items():
        parts = path.split(b"/")
        if any(part in (b"", b".", b"..") for part in parts):
            continue
        file = stub.joinpath(*(part.decode("utf-8", "surrogateescape") for part in parts))
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(contents[blob])


def _parse(output: bytes) -> tuple[dict[bytes, tuple[Stage, ...]], tuple[str, ...]]:
    """The two lists after the tree (git-merge-tree, OUTPUT): conflicted files, an empty word, then messages.

    A message is: number of paths, the paths, a short type, the text.
    """
    words = output.split(b"\0")
    paths: dict[bytes, tuple[Stage, ...]] = {}
    at = 0
    while words[at]:
        about, path = words[at].split(b"\t", 1)
        mode, object_id, stage = about.split(b" ")
        paths[path] = (*paths.get(path, ()), Stage(int(mode, 8), object_id.decode(), int(stage)))
        at += 1
    at += 1
    messages = []
    while at < len(words) and words[at]:
        count = int(words[at])
        kind, text = words[at + count + 1 : at + count + 3]
        if kind != b"Auto-merging":
            messages.append(text.decode("utf-8", "replace").strip())
        at += count + 3
    return paths, tuple(messages)
