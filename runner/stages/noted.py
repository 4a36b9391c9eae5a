"""A verdict as a note on the tree that was tested: enough to find the evidence and to check it."""

from __future__ import annotations

import json

from runner.gate.verdict import Verdict
from runner.git import notes
from runner.stages.context import Context
from runner.stages.names import GATE_NOTES


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
