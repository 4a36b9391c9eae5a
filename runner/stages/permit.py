"""A forgotten permission: whoever planned the change, else the first reviewer, else the user, says yes or no."""

from __future__ import annotations

import shlex

from pipelines.pipeline import Role
from runner.agent.endings import permit_check, permit_of
from runner.agent.openings import PermitFacts, permit_opening
from runner.agent.prompts import system_text
from runner.codec import plain
from runner.flow import Answered, At
from runner.gate.protect import exactly, granted, host_paths, path_bytes
from runner.git.history import diff, tree_of
from runner.models.base import Place
from runner.stages.approvals import rejection
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
YOU = "you"  # the user, where a record says by whom


def permit(context: Context, at: At) -> Answered:
    """Whether the paths that the round's verdict asks for may change. Safe to repeat.

    The user's word stands above a model's, also when it is given later.
    """
    journal, past = context.change_journal(at.change), history(context, at.change)
    rejected = rejection(past)
    if rejected is not None:
        return Answered("rejected", rejected)
    gate = [each for each in past if isinstance(each, GateRecord) and each.round == at.round][-1]
    record = found(journal, record_key(at, "permit"), PermitRecord)
    by_user = _by_user(context, at, gate)
    if by_user is not None:
        if record is None:
            journal.append(record_key(at, "permit"), plain(by_user))
        return _told(context, by_user)
    if record is None:
        askable = _askable(context, gate)
        role = _who(context)
        if role is None or not askable:
            return Answered("waits", f"{gate.summary}: {_command(at, gate)}")
        record = _ask(context, at, gate, role, askable)
    if record is None:
        return Answered("budget", "the budget was reached while a permission was asked for")
    return _told(context, record)


def _told(context: Context, record: PermitRecord) -> Answered:
    context.emit("permit ended", paths=list(record.paths), by=record.by, reason=record.reason)
    if not record.paths:
        return Answered("no", f"{record.by}: {record.reason}")
    return Answered("yes", record.reason, by_user=record.by == YOU)


def _command(at: At, gate: GateRecord) -> str:
    """What the user can type to permit all of it."""
    patterns = " ".join(f"--may-change {shlex.quote(exactly(path_bytes(path)))}" for path in gate.paths)
    return f"relay approve {at.change} {patterns}"


def _askable(context: Context, gate: GateRecord) -> tuple[str, ...]:
    """The paths that a model may permit: host paths are only the user's."""
    return tuple(path for path in gate.paths if not host_paths([path_bytes(path)], context.named))


def _who(context: Context) -> Role | None:
    stages = (*context.stages("plan"), *context.stages("review"))
    return context.role(stages[0].objects[0]) if stages else None


def _by_user(context: Context, at: At, gate: GateRecord) -> PermitRecord | None:
    """A permission that the user has given since the verdict."""
    wanted = [path_bytes(path) for path in gate.paths]
    lifted = granted(wanted, by_user=grants(context, at.change).by_user, by_model=())
    if not wanted or lifted != set(wanted):
        return None
    return PermitRecord(
        round=at.round,
        by=YOU,
        model=None,
        paths=gate.paths,
        asked=gate.paths,
        reason="allowed by you",
        at=context.wall(),
    )


def _ask(context: Context, at: At, gate: GateRecord, role: Role, askable: tuple[str, ...]) -> PermitRecord | None:
    """Ask a model; None when the budget ended the asking."""
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
                # A file that did not change itself is asked for because of what did.
                patch=diff(repository, gate.landing, gate.tree, paths=wanted)
                or diff(repository, gate.landing, gate.tree),
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
