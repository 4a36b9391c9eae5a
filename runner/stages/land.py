"""Landing: a commit of exactly the tested tree on exactly the tested parent becomes the landing branch."""

from __future__ import annotations

import re
from collections.abc import Sequence

from runner.codec import plain
from runner.flow import At, Landed
from runner.git.command import GitError, RefMoved
from runner.git.history import (
    changed_paths,
    is_ancestor,
    merge_base,
    renamed_paths,
    with_trailers,
)
from runner.git.objects import role_identity, write_commit
from runner.git.refs import RefUpdate, move, read
from runner.redact import escape_terminal
from runner.stages.approvals import approvals, asks_you, judging, rejection, word_of
from runner.stages.branches import History, found, head_of, history, landing_branch, landing_tip, opened
from runner.stages.context import Context
from runner.stages.names import candidate_ref, record_key
from runner.stages.records import GateRecord, LandRecord, OpenRecord, TurnRecord
from runner.stages.tasks import identity

TITLE = 72  # characters of a commit's first line


class InvariantBroken(GitError):
    """What would land is not what was tested. Nothing was moved."""


def land(context: Context, at: At) -> Landed:
    """Land the change's candidate, or say what stands in the way. Safe to repeat at any point."""
    journal = context.change_journal(at.change)
    record = found(journal, record_key(at), LandRecord)
    if record is None:
        past = history(context, at.change)
        head, tip = head_of(context, at.change), landing_tip(context)
        gates = passed_gates(context, past, head, tip)
        if gates is None:
            return Landed("moved", why="the landing branch moved since the gate")
        waiting = waits_for(context, past, gates[-1])
        if waiting is not None:
            return waiting
        record = _candidate(context, at, past, gates)
        journal.append(record_key(at), plain(record), keeps=[record.commit])
    return _move(context, at, record)


def passed_gates(context: Context, past: History, head: str, tip: str) -> list[GateRecord] | None:
    """The newest verdict of every gate that judges what lands, if each is `passed` for this head on this tip."""
    newest = {(record.stage, record.gate): record for record in past if isinstance(record, GateRecord)}
    wanted = [(stage.name, gate) for stage in judging(context, "test") for gate in stage.objects]
    gates = [newest[key] for key in wanted if key in newest]
    fits = all(gate.status == "passed" and (gate.head, gate.landing) == (head, tip) for gate in gates)
    return gates if fits and gates and len(gates) == len(wanted) else None


def waits_for(context: Context, past: History, gate: GateRecord) -> Landed | None:
    """Whose word is missing before this candidate may land; None when all have given it.

    The user's own word stands for every other one.
    """
    rejected = rejection(past)
    if rejected is not None:
        return Landed("rejected", why=rejected)
    if word_of(context, past, gate) is not None:
        return None
    reviewers = sum(len(stage.objects) for stage in judging(context, "review"))
    if len(approvals(context, past, gate)) < reviewers:
        return Landed("waits", why="an approval is missing for this candidate")
    why = asks_you(context, gate)
    return Landed("waits", why=why) if why else None


def _candidate(context: Context, at: At, past: History, gates: Sequence[GateRecord]) -> LandRecord:
    gate, about, when = gates[-1], opened(context, at.change), context.wall()
    if len({(g.tree, g.head, g.landing) for g in gates}) != 1:
        raise InvariantBroken("the gates of this candidate judged different trees")
    _assert_only_own_paths(context, gate)
    reviews = approvals(context, past, gate)
    turn = next(record for record in reversed(past) if isinstance(record, TurnRecord) and record.model)
    approved_by = [_person(review.role, review.model) for review in reviews]
    if word_of(context, past, gate) is not None:
        approved_by.append("you <you@relay.invalid>")
    tested_by = [f"relay gate {g.gate} <gate@relay.invalid>" for g in gates]
    message = _message(context, at, about, turn, gates, approved_by, tested_by)
    author = role_identity(turn.role, turn.model)
    commit = write_commit(context.repository, gate.tree, [gate.landing], message, author=author, when=int(when))
    return LandRecord(
        commit=commit,
        tree=gate.tree,
        parent=gate.landing,
        branch=landing_branch(context),
        head=gate.head,
        approved_by=tuple(approved_by),
        tested_by=tuple(tested_by),
        at=when,
    )


def _assert_only_own_paths(context: Context, gate: GateRecord) -> None:
    """Paths changed by landing are a subset of those that the branch changed: catches a wrong merge base."""
    repository = context.repository
    base = merge_base(repository, gate.landing, gate.head)
    own = {entry.path for entry in changed_paths(repository, base, gate.head)}
    own |= {new for old, new in renamed_paths(repository, base, gate.landing) if old in own}
    strange = {entry.path for entry in changed_paths(repository, gate.landing, gate.tree)} - own
    if strange:
        names = ", ".join(sorted(path.decode(errors="backslashreplace") for path in strange)[:5])
        raise InvariantBroken(f"the candidate changes paths that its branch does not: {names}; nothing landed")


def _move(context: Context, at: At, record: LandRecord) -> Landed:
    repository = context.repository
    for _ in range(3):
        branch = landing_branch(context)  # asked at every landing: the user may have checked the target out by now
        tips = [tip for name in (record.branch, branch) if (tip := read(repository, name)) is not None]
        if any(is_ancestor(repository, record.commit, tip) for tip in tips):
            return Landed("landed", record.commit)
        now = read(repository, branch)
        if landing_tip(context) != record.parent or (now is not None and now != record.parent):
            return Landed("moved", why="the landing branch moved since the gate")
        candidate = candidate_ref(context.run, at.change)
        evidence = RefUpdate(candidate, record.commit, read(repository, candidate))
        try:
            move(repository, [evidence, RefUpdate(branch, record.commit, now)])
        except RefMoved:
            continue
        context.emit("landed", change=at.change, commit=record.commit, branch=branch)
    return Landed("moved", why="the landing branch moved since the gate")


def _message(
    context: Context,
    at: At,
    about: OpenRecord,
    turn: TurnRecord,
    gates: Sequence[GateRecord],
    approved_by: Sequence[str],
    tested_by: Sequence[str],
) -> str:
    trailers = [
        ("Relay-Run", context.run),
        ("Relay-Task", identity(context, about.task)),
        ("Relay-Change", f"{about.change} {about.number}/{about.total}"),
        ("Relay-Round", str(at.round)),
        ("Relay-Role", turn.role),
        ("Relay-Model", turn.model),
        *(("Relay-Gate", f"{gate.gate} {gate.tree}") for gate in gates),
        *(("Reviewed-by", who) for who in approved_by),
        *(("Tested-by", what) for what in tested_by),
    ]
    text = f"{subject(about.title)}\n\n{prose(context.mask(about.body))}".strip()
    return with_trailers(text, trailers)


def subject(title: str) -> str:
    """A model's title as the first line of a commit: one line, printable, bounded."""
    line = re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]+", " ", title).strip()
    if not line:
        return "Untitled"
    return line if len(line) <= TITLE else line[: TITLE - 1].rstrip() + "…"


def prose(text: str) -> str:
    """A model's text as the body of a commit, which plain git hands to a terminal as it is."""
    return escape_terminal(text.replace("\r\n", "\n")).strip()


def _person(role: str, model: str) -> str:
    return f"{role} ({model}) <{role}@relay.invalid>"
