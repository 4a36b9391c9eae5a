"""What a candidate touches that somebody has to know of: protected files, host paths, and what looks odd."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from runner.gate.flags import ChangedFile, flags
from runner.gate.protect import (
    Protection,
    changed_paths,
    host_paths,
    matching,
    path_text,
    protected_changes,
    to_acknowledge,
)
from runner.git.objects import TreeEntry, read_blob
from runner.stages.context import Context
from runner.stages.grants import Grants


@dataclass(frozen=True)
class Touched:
    """Paths as text. `host_paths` are those that the user has not allowed yet."""

    acknowledge: tuple[str, ...] = ()
    host_paths: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()


class Trees(Protocol):
    """Both trees of a candidate, listed."""

    @property
    def l_paths(self) -> Mapping[bytes, TreeEntry]: ...

    @property
    def c_paths(self) -> Mapping[bytes, TreeEntry]: ...


def touched(context: Context, trees: Trees, protections: Sequence[Protection], given: Grants) -> Touched:
    """What the reviewers and the user have to be told of the candidate: of what any gate of the pipeline protects."""
    changed = changed_paths(trees.l_paths, trees.c_paths)
    hosts = host_paths(changed, context.named)
    allowed = matching(given.by_user, hosts) if given.by_user else frozenset()
    acknowledge = sorted({p for each in protections for p in to_acknowledge(trees.l_paths, trees.c_paths, each)})
    guarded = sorted({p for each in protections for p in protected_changes(trees.l_paths, trees.c_paths, each)})
    told = flags(
        [_file(context, path, trees) for path in changed],
        protected=guarded,
        acknowledge=acknowledge,
        host=hosts,
        tests=[path for path in guarded if path in trees.c_paths],
    )
    return Touched(
        acknowledge=_texts(acknowledge),
        host_paths=_texts(sorted(hosts - allowed)),
        flags=told,
    )


def _file(context: Context, path: bytes, trees: Trees) -> ChangedFile:
    old, new = trees.l_paths.get(path), trees.c_paths.get(path)
    return ChangedFile(
        path,
        f"{old.mode:06o}" if old else None,
        f"{new.mode:06o}" if new else None,
        read_blob(context.repository, old.id) if old and old.kind == "blob" else None,
        read_blob(context.repository, new.id) if new and new.kind == "blob" else None,
    )


def _texts(paths: Iterable[bytes]) -> tuple[str, ...]:
    return tuple(path_text(path) for path in paths)
