"""A forgotten permission: whoever planned the change, else the first reviewer, else the user, says yes or no."""

from __future__ import annotations

from pipelines.pipeline import Role
from runner.agent.endings import permit_check, permit_of
from runner.agent.openings import PermitFacts, permit_opening
from runner.agent.prompts import system_text
from runner.codec import plain
from runner.flow import Answered, At
from runner.gate.protect import host_paths, path_bytes
from runner.git.history import diff, tree_of
from runner.models.base import Place
from runner.stages.branches import found, history, landing_tip
from runner.stages.context import Context
from runner.stages.environments import environment_of
from runner.stages.evidence import summary_of
from runner.stages.grants import grants
from runner.stages.names import record_key, turn_key
from runner.stages.project import change_facts, project_facts
from runner.stages.records import GateRecord, PermitRecord
from runner.stages.turn import Assignment, taken

PERMIT_TIMEOUT = 900.0


def permit(context: Context, at: At) -> Answered:
    """Whether the paths that the newest verdict asks for may change. Safe to repeat."""
    journal = context.change_journal(at.change)
    record = found(journal, record_key(at, "permit"), PermitRecord)
    if record is None:
        gates = [each for each in history(context, at.change) if isinstance(each, GateRecord)]
        gate = gates[-1]
        by_user = _by_user(context, at, gate)
        role = _who(context)
        if by_user is not None:
            record = by_user
            journal.append(record_key(at, "permit"), plain(record))
        elif role is None:
            return Answered("waits", f"{gate.summary}; relay approve {at.change} --may-change PATTERN")
        else:
            record = _ask(context, at, gate, role)
    if record is None:
        return Answered("budget", "the budget was reached while a permission was asked for")
    context.emit("permit ended", paths=list(record.paths), by=record.by, reason=record.reason)
    return Answered("yes", record.reason) if record.paths else Answered("no", f"{record.by}: {record.reason}")


def _who(context: Context) -> Role | None:
    stages = (*context.stages("plan"), *context.stages("review"))
    return context.role(stages[0].objects[0]) if stages else None


def _by_user(context: Context, at: At, gate: GateRecord) -> PermitRecord | None:
    """A permission that the user has given since the verdict."""
    wanted = [path_bytes(path) for path in gate.paths]
    lifted = grants(context, at.change).lifts(wanted)
    if not wanted or lifted != set(wanted):
        return None
    return PermitRecord(
        round=at.round,
        by="you",
        model=None,
        paths=gate.paths,
        asked=gate.paths,
        reason="allowed by you",
        at=context.wall(),
    )


def _ask(context: Context, at: At, gate: GateRecord, role: Role) -> PermitRecord | None:
    """Ask a model; None when the budget ended the asking. Host paths are not a model's to permit."""
    askable = tuple(path for path in gate.paths if not host_paths([path_bytes(path)], context.named))
    repository = context.repository
    wanted = [path_bytes(path) for path in gate.paths]
    assignment = Assignment(
        key=turn_key(at, f"permit.{role.name}"),
        kind="permit",
        role=role,
        place=Place(role.name, at.task, at.change, at.round),
        tree=gate.tree,
        history=gate.landing,
        environment=environment_of(context, tree_of(repository, landing_tip(context))),
        system=system_text("permit", role.prompt),
        opening=permit_opening(
            project_facts(context, gate.tree, role),
            change_facts(context, at.change),
            PermitFacts(
                paths=askable,
                why=gate.summary,
                patch=diff(repository, gate.landing, gate.tree, paths=wanted),
                summary=summary_of(history(context, at.change)),
            ),
        ),
        check=permit_check(askable),
        timeout=PERMIT_TIMEOUT,
    )
    with taken(context, assignment) as turn:
        if turn.result.end == "budget":
            return None
        said = permit_of(turn.result.payload) if turn.result.payload is not None else None
        record = PermitRecord(
            round=at.round,
            by=role.name,
            model=turn.model,
            paths=said.paths if said else (),
            asked=gate.paths,
            reason=context.mask(said.reason) if said else f"the turn ended as {turn.result.end}",
            spent=turn.spent,
            at=context.wall(),
        )
        files = {"transcript.jsonl": turn.transcript}
        context.change_journal(at.change).append(record_key(at, "permit"), plain(record), files)
    return record
