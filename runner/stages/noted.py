"""A verdict as it is told: an event, and a note on the tested tree that is enough to find and check the evidence."""

from __future__ import annotations

import json

from runner.gate.verdict import Verdict
from runner.git import notes
from runner.stages.context import Context
from runner.stages.names import GATE_NOTES
from runner.stages.records import GateRecord


def note_on(
    context: Context,
    verdict: Verdict,
    *,
    at: float,
    head: str,
    change: str | None = None,
    round_number: int | None = None,
) -> None:
    """Add one line of JSON to the note of the tested tree. No change: all that a run landed, merged."""
    line = json.dumps(
        {
            "run": context.run,
            "change": change,
            "round": round_number,
            "gate": verdict.gate,
            "status": verdict.status,
            "reason": verdict.reason,
            "tree": verdict.c_tree,
            "k_tree": verdict.k_tree,
            "landing": verdict.landing,
            "head": head,
            "definition": verdict.gate_hash,
            "environments": list(verdict.environments),
            "results": verdict.results,
            "passed": verdict.passed,
            "failed": verdict.failed,
            "skipped": verdict.skipped,
            "weak": verdict.weak,
            "seconds": round(verdict.seconds, 3),
            "at": int(at),
        },
        sort_keys=True,
    )
    notes.add(context.repository, GATE_NOTES, verdict.c_tree, line)


def tell(context: Context, said: GateRecord | Verdict) -> None:
    """Say how a gate ended, to the log and to whoever watches."""
    context.emit(
        "gate ended",
        gate=said.gate,
        status=said.status,
        reason=said.reason,
        why=said.summary,
        results=said.results,
        passed=said.passed,
        failed=said.failed,
        seconds=round(said.seconds, 1),
    )
