"""Why a change came back, put together from its journal for the next implementer."""

from __future__ import annotations

from runner.agent import evidence as told
from runner.agent.endings import Comment, Review
from runner.codec import convert, decode
from runner.gate.verdict import Verdict
from runner.git.journal import Record
from runner.git.objects import read_blob
from runner.stages.branches import History
from runner.stages.context import Context
from runner.stages.records import GateRecord, PermitRecord, ReviewRecord, TurnRecord


def evidence_for(context: Context, change: str) -> tuple[told.Evidence, ...]:
    """Everything since the last turn that ended with a change; turns without one leave the old evidence standing.

    A verdict that asked for a permission is answered by the permission.
    """
    found: list[told.Evidence] = []
    permitted = False
    for entry in reversed(context.change_journal(change).entries()):
        kind = entry.value.get("kind")
        if kind == "turn":
            turn = convert(entry.value, TurnRecord)
            if turn.end != "done":
                found.append(told.TurnEnded(turn.end, turn.why))
            if turn.end != "no-change":
                break
        elif kind == "gate":
            answered = permitted and entry.value.get("reason") == "needs-permission"
            found += [] if answered else _gate(context, entry)
        elif kind == "review":
            found += _review(convert(entry.value, ReviewRecord))
        elif kind == "permit":
            permit = convert(entry.value, PermitRecord)
            permitted = permitted or bool(permit.paths)
            found += [] if permit.paths else [told.PermissionRefused(permit.asked, permit.reason)]
    return tuple(reversed(found))


def _gate(context: Context, entry: Record) -> list[told.Evidence]:
    gate = convert(entry.value, GateRecord)
    if gate.status != "failed":
        return []
    if gate.reason == "conflict":
        return [told.Conflicted(gate.paths, gate.summary)]
    verdict = decode(read_blob(context.repository, entry.files["verdict"]), Verdict)
    log = read_blob(context.repository, entry.files["log"]) if "log" in entry.files else b""
    return [
        told.GateFailed(
            gate=gate.gate,
            reason=gate.reason or gate.status,
            why=gate.summary,
            failing=[told.Failing(test.test, test.message) for test in (*verdict.failing, *verdict.uncollected)],
            missing=(*verdict.missing, *verdict.newly_skipped),
            log=log,
        )
    ]


def _review(record: ReviewRecord) -> list[told.Evidence]:
    if record.decision != "request_changes":
        return []
    return [told.ChangesRequested(record.role, review_value(record))]


def review_value(record: ReviewRecord) -> Review:
    """A recorded review as the prompts take it."""
    comments = tuple(Comment(c.path or "", c.body, c.line, c.severity) for c in record.comments)
    return Review("approve" if record.decision == "approve" else "request_changes", record.summary, comments)


def summary_of(past: History) -> str:
    """What the implementer said of its last finished turn."""
    turns = [record for record in past if isinstance(record, TurnRecord) and record.summary]
    return turns[-1].summary if turns else ""
