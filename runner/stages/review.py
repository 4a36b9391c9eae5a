"""Review: every reviewer judges exactly the candidate that would land; an approval counts for one head and tree."""

from __future__ import annotations

from collections.abc import Mapping

from runner.agent.endings import Comment as Remark
from runner.agent.endings import Review, review_check, review_of
from runner.agent.openings import Earlier, ReviewFacts, review_opening
from runner.agent.prompts import system_text
from runner.codec import plain
from runner.flow import Answered, At
from runner.git.history import diff, tree_of
from runner.git.objects import TreeEntry, ls_tree, read_blob
from runner.models.base import Place
from runner.stages.approvals import carries, rejection, word_of
from runner.stages.branches import History, found, history, landing_tip
from runner.stages.context import Context
from runner.stages.environments import environment_of
from runner.stages.evidence import review_value, summary_of
from runner.stages.names import record_key, turn_key
from runner.stages.project import change_facts, project_facts
from runner.stages.records import Comment, GateRecord, ReviewRecord, TurnRecord
from runner.stages.turn import Assignment, taken
from runner.stages.verdicts import verdict_text

REVIEW_TIMEOUT = 1800.0


def review(context: Context, at: At) -> Answered:
    """Ask every reviewer of the stage, one after the other; the first no goes back. Safe to repeat.

    The user's approval of exactly what was reviewed stands above a reviewer's no, and for a review that is missing.
    """
    rejected = rejection(history(context, at.change))
    if rejected is not None:
        return Answered("rejected", rejected)
    for name in context.stage(at.stage).objects:
        record = found(context.change_journal(at.change), record_key(at, name), ReviewRecord)
        if record is None:
            record = _carried_over(context, at, name) or _ask(context, at, name)
        context.emit("review ended", role=name, decision=record.decision, comments=len(record.comments))
        if record.end == "budget":
            return Answered("budget", record.why)
        if record.decision == "approve" or word_of(context, history(context, at.change), record) is not None:
            continue
        if record.decision == "request_changes":
            return Answered("no", f"{name}: {record.summary}")
        return Answered("waits", f"{name} gave no usable review ({record.end}: {record.why})")
    return Answered("yes")


def _carried_over(context: Context, at: At, name: str) -> ReviewRecord | None:
    """An approval of the same patch on an older landing branch stands; else the reviewer is asked again."""
    past, gate = _standing(context, at)
    old = next(
        (r for r in reversed(past) if isinstance(r, ReviewRecord) and (r.stage, r.role) == (at.stage, name)), None
    )
    if old is None or old.decision != "approve" or not carries(context, old, old.acknowledged, gate):
        return None
    record = ReviewRecord(
        round=at.round,
        stage=at.stage,
        role=name,
        model=old.model,
        end="done",
        decision="approve",
        summary=old.summary,
        comments=old.comments,
        acknowledged=old.acknowledged,
        landing=gate.landing,
        head=gate.head,
        tree=gate.tree,
        opened=old.opened,
        carried=True,
        at=context.wall(),
    )
    context.change_journal(at.change).append(record_key(at, name), plain(record))
    return record


def _ask(context: Context, at: At, name: str) -> ReviewRecord:
    past, gate = _standing(context, at)
    role, journal = context.role(name), context.change_journal(at.change)
    assignment = Assignment(
        key=turn_key(at, name),
        kind="review",
        role=role,
        place=Place(name, at.task, at.change, at.round),
        tree=gate.tree,
        history=gate.landing,
        environment=environment_of(context, tree_of(context.repository, landing_tip(context))),
        system=system_text("review", role.prompt),
        opening=review_opening(
            project_facts(context, gate.tree, role),
            change_facts(context, at.change),
            _facts(context, at, past, gate, name),
        ),
        check=review_check(gate.acknowledge),
        timeout=REVIEW_TIMEOUT,
    )
    with taken(context, assignment) as turn:
        result = turn.result
        said = review_of(result.payload) if result.payload is not None else None
        record = ReviewRecord(
            round=at.round,
            stage=at.stage,
            role=name,
            model=turn.model,
            end=result.end,
            decision=said.decision if said else "none",
            summary=context.mask(said.summary) if said else "",
            comments=_comments(context, gate, said),
            acknowledged=said.acknowledge if said else (),
            landing=gate.landing,
            head=gate.head,
            tree=gate.tree,
            opened=(*result.opened, *([f"{result.commands} commands"] if result.commands else [])),
            spent=turn.spent,
            why="" if result.end == "done" else context.mask(result.detail),
            seconds=result.seconds,
            at=context.wall(),
        )
        if result.end != "budget":
            journal.append(record_key(at, name), plain(record), {"transcript.jsonl": turn.transcript})
    return record


def _standing(context: Context, at: At) -> tuple[History, GateRecord]:  # all that happened; the newest verdict
    past = history(context, at.change)
    return past, next(record for record in reversed(past) if isinstance(record, GateRecord))


def _facts(context: Context, at: At, past: History, gate: GateRecord, name: str) -> ReviewFacts:
    turns = [record for record in past if isinstance(record, TurnRecord)]
    reviews = [record for record in past if isinstance(record, ReviewRecord) and not record.carried]
    approved = next((r for r in reversed(reviews) if r.role == name and r.decision == "approve"), None)
    moved = approved is not None and approved.landing != gate.landing
    return ReviewFacts(
        ids={"landing branch": gate.landing, "head of the change": gate.head, "tree that would land": gate.tree},
        patch=diff(context.repository, gate.landing, gate.tree),
        verdict=verdict_text(context, at.change),
        summary=summary_of(past),
        flags=gate.flags,
        to_acknowledge=gate.acknowledge,
        ignored=turns[-1].ignored,
        earlier=[Earlier(r.round, r.role, review_value(r), _answer(turns, r.round)) for r in reviews],
        moved=diff(context.repository, approved.tree, gate.tree) if approved is not None and moved else None,
    )


def _answer(turns: list[TurnRecord], after: int) -> str:
    return next((turn.summary for turn in turns if turn.round > after and turn.summary), "")


def _comments(context: Context, gate: GateRecord, said: Review | None) -> tuple[Comment, ...]:
    """The remarks, tied to path and line where the candidate has them; a path that it has not goes into the text."""
    if said is None or not said.comments:
        return ()
    files = ls_tree(context.repository, gate.tree)
    return tuple(_comment(context, files, comment) for comment in said.comments)


def _comment(context: Context, files: Mapping[bytes, TreeEntry], said: Remark) -> Comment:
    there = files.get(said.path.encode())
    if there is None:
        return Comment(context.mask(f"{said.path}: {said.body}" if said.path else said.body), severity=said.severity)
    is_file = there.kind == "blob" and said.line is not None
    lines = len(read_blob(context.repository, there.id).splitlines()) if is_file else 0
    line = said.line if said.line is not None and said.line <= lines else None
    return Comment(context.mask(said.body), said.path, line, said.severity)
