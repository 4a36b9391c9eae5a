"""Where things stand in git: the landing branch, a change's branch, and what the journals of a run say last."""

from __future__ import annotations

import re
from typing import TypeVar

from runner.codec import convert
from runner.git import refs
from runner.git.command import GitError
from runner.git.history import is_ancestor
from runner.git.journal import Journal
from runner.git.repo import Repository
from runner.git.survey import checked_out_branches
from runner.stages.context import Context
from runner.stages.names import journal_ref, landed_ref
from runner.stages.records import (
    DecisionRecord,
    GateRecord,
    OpenRecord,
    PermitRecord,
    ReviewRecord,
    Started,
    TurnRecord,
)

T = TypeVar("T")
_LANDED = re.compile(r"refs/heads/relay/([^/]+)/landed")


def found(journal: Journal, key: str, kind: type[T]) -> T | None:
    """A recorded value, or None."""
    record = journal.find(key)
    return None if record is None else convert(record.value, kind)


def landing_branch(context: Context) -> str:
    """The ref that approved work lands on: the target, or `landed` once this run has used it or while the target is
    checked out anywhere."""
    used = landed_ref(context.run)
    target = f"refs/heads/{context.target}"
    if refs.read(context.repository, used) is not None or target in checked_out_branches(context.repository):
        return used
    return target


def landing_tip(context: Context) -> str:
    """L: the commit that the next candidate is built on."""
    tip = refs.first(context.repository, landed_ref(context.run), f"refs/heads/{context.target}")
    if tip is None:
        start = found(context.journal, "start", Started)
        raise GitError(
            f"the target branch {context.target} is gone: make it again, the run began at "
            f"`git branch {context.target} {start.target_commit if start else ''}`"
        )
    return tip


def landings(repository: Repository, target: str) -> dict[str, str]:
    """The `landed` of all runs that work for this target, by run."""
    found = {_LANDED.fullmatch(name): commit for name, commit in refs.listed(repository, "refs/heads/relay").items()}
    own = {}
    for match, commit in found.items():
        start = Journal(repository, journal_ref(match[1])).find("start") if match else None
        if match and start is not None and start.value.get("target") == target:
            own[match[1]] = commit
    return own


def drop_held(repository: Repository, target: str) -> None:
    """Remove every `landed` that the target holds by now: it waits for nobody."""
    tip = refs.read(repository, f"refs/heads/{target}")
    for run, commit in landings(repository, target).items():
        if tip is not None and is_ancestor(repository, commit, tip):
            refs.move(repository, [refs.RefUpdate(landed_ref(run), None, commit)])


def opened(context: Context, change: str) -> OpenRecord:
    """What a change is about."""
    record = found(context.change_journal(change), "open", OpenRecord)
    if record is None:
        raise LookupError(f"change {change} was never opened")
    return record


def head_of(context: Context, change: str) -> str:
    """The commit that the change's last recorded turn left; at first its spec. The journal says it, not the branch."""
    turns = [record for record in history(context, change) if isinstance(record, TurnRecord)]
    return turns[-1].head if turns else opened(context, change).spec_commit


History = tuple[TurnRecord | GateRecord | PermitRecord | ReviewRecord | DecisionRecord, ...]

_KINDS: dict[str, type[TurnRecord | GateRecord | PermitRecord | ReviewRecord | DecisionRecord]] = {
    kind.kind: kind for kind in (TurnRecord, GateRecord, PermitRecord, ReviewRecord, DecisionRecord)
}


def history(context: Context, change: str) -> History:
    """All that happened to a change so far, in order."""
    records = [entry.value for entry in context.change_journal(change).entries()]
    return tuple(convert(record, _KINDS[record["kind"]]) for record in records if record.get("kind") in _KINDS)
