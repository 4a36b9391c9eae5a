"""The patch of a change, from objects alone: from the landing branch as it was tested to the candidate."""

from __future__ import annotations

from dataclasses import dataclass

from runner.git.history import diff
from runner.git.repo import Repository
from runner.stages.records import GateRecord, LandRecord
from runner.view import ChangeView


@dataclass(frozen=True)
class Patch:
    """`old` and `new` are commits or trees; both None and no text while the change has not begun."""

    old: str | None
    new: str | None
    text: bytes


def patch_of(repository: Repository, change: ChangeView) -> Patch:
    """What landed, else the newest candidate, else the branch against where it began."""
    for entry in reversed(change.entries):
        record = entry.record
        if isinstance(record, LandRecord):
            return _patch(repository, record.parent, record.tree)
        if isinstance(record, GateRecord) and record.tree and record.head == change.head:
            return _patch(repository, record.landing, record.tree)
    if change.base and change.head:
        return _patch(repository, change.base, change.head)
    return Patch(None, None, b"")


def _patch(repository: Repository, old: str, new: str) -> Patch:
    return Patch(old, new, diff(repository, old, new))
