"""The user's own word on a change: `approve: human`."""

from __future__ import annotations

from runner.flow import Answered, At
from runner.stages.approvals import asks_you, rejection, word_of
from runner.stages.branches import history
from runner.stages.context import Context
from runner.stages.records import GateRecord


def approve(context: Context, at: At) -> Answered:
    """What the user said of the candidate that stands now; nobody is waited for."""
    past = history(context, at.change)
    gate = next(record for record in reversed(past) if isinstance(record, GateRecord))
    rejected = rejection(past)
    if rejected is not None:
        return Answered("rejected", rejected)
    if word_of(context, past, gate) is None:
        return Answered("waits", asks_you(context, gate))
    return Answered("yes")
