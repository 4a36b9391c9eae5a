"""An implementer's turn: a workspace of the change's head, and what it leaves as a commit on the change's branch."""

from __future__ import annotations

from collections.abc import Sequence

from runner.agent.evidence import TurnEnded
from runner.agent.openings import RoundFacts, implement_opening
from runner.agent.prompts import system_text
from runner.codec import plain
from runner.flow import At, Implemented
from runner.gate.protect import path_text
from runner.git.candidate import Conflict, merge
from runner.git.harvest import Harvest, harvest
from runner.git.history import tree_of, with_trailers
from runner.git.objects import role_identity, write_commit
from runner.git.refs import RefUpdate, move, read
from runner.models.base import Place
from runner.outcomes import TurnEnd
from runner.stages.approvals import rejection
from runner.stages.branches import found, head_of, history, landing_tip, opened
from runner.stages.context import Context
from runner.stages.environments import environment_of
from runner.stages.evidence import evidence_for
from runner.stages.land import prose, subject
from runner.stages.names import branch_ref, record_key, turn_key
from runner.stages.open import open_change
from runner.stages.project import change_facts, project_facts
from runner.stages.records import GateRecord, TurnRecord
from runner.stages.tasks import identity
from runner.stages.turn import Assignment, Taken, taken

TOLD = 1000  # paths that a record names


def implement(context: Context, at: At) -> Implemented:
    """Take the turn of this round. Safe to repeat: a turn that was recorded stands."""
    about = open_change(context, at.task, at.change)
    rejected = rejection(history(context, at.change))
    if rejected is not None:
        return Implemented("done", head_of(context, at.change), rejected, rejected=True)
    record = found(context.change_journal(at.change), record_key(at), TurnRecord)
    if record is None:
        record = _turn(context, at)
    end = record.end
    context.emit("turn recorded", change=about.change, round=at.round, end=end, changed=len(record.changed))
    return Implemented(end, record.head, record.why)


def _turn(context: Context, at: At) -> TurnRecord:
    stage = context.stage(at.stage)
    role = context.role(stage.objects[0])
    head, parents, tree = _start(context, at)
    assignment = Assignment(
        key=turn_key(at, role.name),
        kind="implement",
        role=role,
        place=Place(role.name, at.task, at.change, at.round),
        tree=tree,
        history=landing_tip(context),
        environment=environment_of(context, tree_of(context.repository, landing_tip(context))),
        system=system_text("implement", role.prompt),
        opening=implement_opening(
            project_facts(context, tree, role),
            change_facts(context, at.change),
            RoundFacts(at.round, stage.max_rounds, evidence_for(context, at.change)),
        ),
        timeout=stage.timeout,
        idle_timeout=stage.idle_timeout,
    )
    with taken(context, assignment) as turn:
        if turn.result.end == "budget":
            return _record(context, at, turn, head, Harvest(turn.base, ()), "budget")
        taken_in = harvest(context.repository, turn.base, turn.workspace.changes())
        end = _end(context, at, turn, taken_in, len(parents) > 1)
        if end not in ("no-change", "limit", "refusal") and (taken_in.changed or len(parents) > 1):
            head = _commit(context, at, turn, taken_in.tree, parents)
        record = _record(context, at, turn, head, taken_in, end)
        files = {"transcript.jsonl": turn.transcript}
        context.change_journal(at.change).append(record_key(at), plain(record), files)
    return record


def _start(context: Context, at: At) -> tuple[str, Sequence[str], str]:  # head, parents of the commit, tree
    """Where the turn begins: the head; or, after a conflict, the merge with the landing branch, markers and all."""
    head = head_of(context, at.change)
    gates = [record for record in history(context, at.change) if isinstance(record, GateRecord)]
    if gates and gates[-1].reason == "conflict" and gates[-1].head == head:
        landing = gates[-1].landing
        merged = merge(context.repository, landing, head)
        if isinstance(merged, Conflict):
            return head, (head, landing), merged.tree
    return head, (head,), tree_of(context.repository, head)


def _end(context: Context, at: At, turn: Taken, taken_in: Harvest, merging: bool) -> TurnEnd:
    if taken_in.exceeded is not None:
        return "limit"
    if turn.result.end == "done" and not taken_in.changed and not merging and not _unjudged(context, at):
        return "no-change"
    return turn.result.end


def _unjudged(context: Context, at: At) -> bool:
    """Whether the head holds work that nothing speaks against: an earlier turn's, cut short before anybody looked."""
    if head_of(context, at.change) == opened(context, at.change).spec_commit:
        return False
    return all(isinstance(one, TurnEnded) for one in evidence_for(context, at.change))


def _commit(context: Context, at: At, turn: Taken, tree: str, parents: Sequence[str]) -> str:
    """The turn's commit, on the branch. Its date is frozen with the turn, so that a repeat makes the same commit."""
    role = context.stage(at.stage).objects[0]
    summary = context.mask(str((turn.result.payload or {}).get("summary", "")).strip())
    title = subject(summary.partition("\n")[0] or f"Round {at.round}: unfinished ({turn.result.end})")
    rest = prose(summary) if "\n" in summary or len(summary) > len(title) else ""
    message = with_trailers(
        f"{title}\n\n{rest}".strip(),
        [
            ("Relay-Run", context.run),
            ("Relay-Task", identity(context, at.task)),
            ("Relay-Change", at.change),
            ("Relay-Round", str(at.round)),
            ("Relay-Role", role),
            ("Relay-Model", turn.model),
        ],
    )
    author = role_identity(role, turn.model)
    commit = write_commit(context.repository, tree, list(parents), message, author=author, when=turn.began)
    branch = branch_ref(context.run, at.change)
    now = read(context.repository, branch)
    if now != commit:
        move(context.repository, [RefUpdate(branch, commit, parents[0])])
    return commit


def _record(context: Context, at: At, turn: Taken, head: str, taken_in: Harvest, end: TurnEnd) -> TurnRecord:
    result = turn.result
    why = taken_in.exceeded or ("" if end == "done" else result.detail)
    if end == "no-change":
        why = f"the turn changed nothing: {why}"
    return TurnRecord(
        round=at.round,
        stage=at.stage,
        role=context.stage(at.stage).objects[0],
        model=turn.model,
        end=end,
        summary=context.mask(str((result.payload or {}).get("summary", ""))),
        head=head,
        changed=tuple(path_text(path) for path in taken_in.changed),
        ignored=_told([path_text(path) for path in taken_in.ignored]),
        refused=_told([f"{path_text(refused.path)}: {refused.why}" for refused in taken_in.refused]),
        steps=result.steps,
        spent=turn.spent,
        why=context.mask(why),
        seconds=result.seconds,
        at=context.wall(),
    )


def _told(paths: Sequence[str]) -> tuple[str, ...]:
    """What a record says of paths that were left out: a model can make a million of them, each as long as it likes."""
    said = [path if len(path) <= 500 else f"{path[:250]}…{path[-200:]}" for path in paths[:TOLD]]
    return (*said, *([f"... and {len(paths) - TOLD} more"] if len(paths) > TOLD else []))
