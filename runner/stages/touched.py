"""What a candidate touches that somebody has to know of: protected files, host paths, and what looks odd."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from runner.gate.protect import Protection, changed_paths, host_paths, matching, path_text, to_acknowledge
from runner.git.objects import TreeEntry
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


def touched(context: Context, change: str, trees: Trees, protected: Protection, given: Grants) -> Touched:
    """What the reviewers and the user have to be told of the candidate."""
    changed = changed_paths(trees.l_paths, trees.c_paths)
    hosts = host_paths(changed, context.named)
    allowed = matching(given.by_user, hosts) if given.by_user else frozenset()
    return Touched(
        acknowledge=_texts(to_acknowledge(trees.l_paths, trees.c_paths, protected)),
        host_paths=_texts(sorted(hosts - allowed)),
    )


def _texts(paths: object) -> tuple[str, ...]:
    assert isinstance(paths, list | tuple)
    return tuple(path_text(path) for path in paths)
