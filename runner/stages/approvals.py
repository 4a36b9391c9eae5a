"""Whose word a candidate has: reviewers' approvals and the user's, each bound to one head and one tree."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.pipeline import Stage, Verb
from runner.git.history import patch_id_verbatim
from runner.stages.branches import History
from runner.stages.context import Context
from runner.stages.records import DecisionRecord, GateRecord, ReviewRecord


def judging(context: Context, verb: Verb) -> tuple[Stage, ...]:
    """The stages of a verb that judge what lands: those after the last `implement`."""
    stages = context.pipeline.stages
    last = max(place for place, stage in enumerate(stages) if stage.verb == "implement")
    return tuple(stage for stage in stages[last:] if stage.verb == verb)


def word_of(context: Context, past: History, of: GateRecord | ReviewRecord) -> DecisionRecord | None:
    """The user's approval of this candidate, or of the same patch on an older landing branch; None without one."""
    gates = {(gate.head, gate.tree): gate for gate in past if isinstance(gate, GateRecord)}
    for said in reversed(past):
        if not isinstance(said, DecisionRecord) or said.decision != "approve" or said.head != of.head:
            continue
        then, now = gates.get((said.head, said.tree)), gates.get((of.head, of.tree))
        if said.tree == of.tree or (then and now and carries(context, then, said.acknowledged, now)):
            return said
    return None


def asks_you(context: Context, gate: GateRecord) -> str:
    """Why a candidate may not land without the user's own word; empty where it may."""
    why = ["it waits for your approval"] if judging(context, "approve") else []
    if gate.host_paths:
        why.append(f"it changes files that your own tools obey: {', '.join(gate.host_paths)}")
    return "; ".join(why)


def carries(context: Context, then: GateRecord | ReviewRecord, acknowledged: Sequence[str], now: GateRecord) -> bool:
    """Whether an approval of what stood `then` holds for what stands `now`: the same head, and the verbatim patch."""
    if then.head != now.head or set(now.acknowledge) - set(acknowledged):
        return False
    if then.tree == now.tree and then.landing == now.landing:
        return True
    repository = context.repository
    one = patch_id_verbatim(repository, then.landing, then.tree)
    return one == patch_id_verbatim(repository, now.landing, now.tree)


def rejection(past: History) -> str | None:
    """Why the user wants no more of a change. It is final, whatever it was said of."""
    said = (record for record in past if isinstance(record, DecisionRecord) and record.decision == "reject")
    return next((record.note or "rejected by you" for record in said), None)


def approvals(context: Context, past: History, gate: GateRecord) -> list[ReviewRecord]:
    """The approving reviews of exactly this candidate, one for each reviewer of the pipeline that gave one."""
    newest = {(record.stage, record.role): record for record in past if isinstance(record, ReviewRecord)}
    wanted = [(stage.name, role) for stage in judging(context, "review") for role in stage.objects]
    reviews = [newest[key] for key in wanted if key in newest]
    return [r for r in reviews if r.decision == "approve" and (r.head, r.tree) == (gate.head, gate.tree)]
