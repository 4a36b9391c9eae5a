"""The newest verdict of a change, in words for a reviewer."""

from __future__ import annotations

from runner.codec import convert, decode
from runner.gate.verdict import Verdict
from runner.git.objects import read_blob
from runner.stages.context import Context
from runner.stages.records import GateRecord

SHOWN = 30  # names per list


def verdict_text(context: Context, change: str) -> str:
    """What every gate said of the newest candidate: counts, tests that changed, what is weak about it."""
    newest: dict[str, str] = {}
    for entry in context.change_journal(change).entries():
        if entry.value.get("kind") == "gate":
            record = convert(entry.value, GateRecord)
            verdict = decode(read_blob(context.repository, entry.files["verdict"]), Verdict)
            newest[record.gate] = _one(record, verdict)
    return "\n\n".join(newest.values())


def _one(record: GateRecord, verdict: Verdict) -> str:
    lines = [f"{record.gate}: {record.status}. {record.summary}"]
    if record.results == "junit":
        lines.append(f"{verdict.passed} passed, {verdict.failed} failed, {verdict.skipped} skipped")
    for what, names in (
        ("red on the landing branch and passing now", verdict.fail_to_pass),
        ("new tests", verdict.new_tests),
        ("out of the contract by permission", verdict.left_contract),
        ("red as on the landing branch", verdict.old_reds),
    ):
        if names:
            more = f", and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
            lines.append(f"{what}: {', '.join(names[:SHOWN])}{more}")
    if verdict.weak:
        lines.append(f"weak: {verdict.weak}")
    return "\n".join(lines)
