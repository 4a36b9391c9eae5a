"""Runs and changes as text for a terminal. What is returned is not escaped yet: whoever prints it does that."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Iterable, Sequence
from typing import Any

from runner.accounts import total_of
from runner.git.repo import Repository
from runner.journals import Entry
from runner.redact import one_line
from runner.report.digest import digest, duration, headline, money, next_command, sentence, token_counts
from runner.report.evidence import TestsSeen, tests_seen
from runner.stages.records import DecisionRecord, GateRecord, LandRecord, PermitRecord, ReviewRecord, TurnRecord
from runner.view import ChangeView, RunView

SHOWN_TESTS = 20  # names of one kind; the rest is counted
MESSAGE = 600  # characters of what a failing test said


def columns(rows: Sequence[Sequence[str]], gap: str = "  ") -> list[str]:
    """Rows as lines with aligned columns; the last column is as long as it likes."""
    cells = [[one_line(cell) for cell in row] for row in rows]
    widths = [max(len(row[at]) for row in cells) for at in range(len(cells[0]))] if cells else []
    return [
        gap.join([*(cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=False)), row[-1]]).rstrip()
        for row in cells
    ]


def run_lines(run: RunView) -> list[str]:
    """Where a run stands: the whole, each change, what waits with its command, what it cost."""
    held = f" (pid {run.holder.pid} on {run.holder.host})" if run.holder else ""
    took = f", {duration(run.seconds)}" if run.seconds else ""
    lines = [
        f"run {run.run}: {run.outcome}{held}{took}" + (f": {one_line(run.why)}" if run.why else ""),
        f"{run.pipeline}, begun {when(run.started_at)}, lands on {run.landing_branch}",
        f"{headline(run)} Cost: {money(run.total)}; {token_counts(run.total)}",
    ]
    for task in run.tasks:
        why = f": {one_line(task.why)}" if task.why and not task.changes else ""
        lines += ["", f"{task.id}: {one_line(task.title)} [{task.outcome or 'open'}]{why}"]
        lines += [f"  {line}" for line in columns([_row(change) for change in task.changes])]
    found = digest(run)
    for name, answers in (("Waits for you", found.waits), ("Failed", found.failed)):
        lines += ["", f"{name}:"] if answers else []
        for answer in answers:
            lines.append(f"  {one_line(f'{answer.change} {answer.title}: {answer.why}'.strip(), 300)}")
            lines += [f"    {one_line(answer.command, 1000)}"] if answer.command else []
    return lines


def change_lines(repository: Repository, run: RunView, change: ChangeView) -> list[str]:
    """All there is to say of a change: where it stands, its spec, every round, and the one next command."""
    total = total_of(change.spent)
    lines = [
        f"{run.run}/{change.id}: {one_line(change.title)}",
        f"{change.outcome or 'open'}, {_rounds(change)}, cost {money(total)}, {token_counts(total)}",
        *columns([["branch", change.branch or "none"], ["head", change.head or "none"]]),
        *([f"landed  {change.landed} on {run.landing_branch}"] if change.landed else []),
        *([f"why     {one_line(sentence(change), 500)}"] if change.outcome != "landed" else []),
        "",
        f"Spec (change {change.number} of {change.total} of task {change.task})",
        *_wrapped(change.body or "(no text)"),
        *([f"  needs {', '.join(change.needs)}"] if change.needs else []),
        *([f"  may change {', '.join(change.may_change)}"] if change.may_change else []),
    ]
    number = 0
    for entry in change.entries:
        if getattr(entry.record, "round", number) != number:
            number = entry.record.round
            lines += ["", f"Round {number}"]
        lines += [f"  {line}" for line in entry_lines(repository, entry)]
    command = next_command(run, change)
    return [*lines, "", f"Next: {one_line(command, 1000)}" if command else "Nothing waits."]


def entry_lines(repository: Repository, entry: Entry) -> list[str]:
    """One record of a change's history."""
    record = entry.record
    if isinstance(record, TurnRecord):
        return _turn(record)
    if isinstance(record, GateRecord):
        return [*_gate(record), *(f"  {line}" for line in tests_lines(tests_seen(repository, entry)))]
    if isinstance(record, ReviewRecord):
        return _review(record)
    if isinstance(record, PermitRecord):
        said = f"yes to {', '.join(record.paths)}" if record.paths else f"no to {', '.join(record.asked)}"
        return [f"permission: {record.by} said {said}: {one_line(record.reason, 500)}"]
    if isinstance(record, DecisionRecord):
        return [f"you: {record.decision}" + (f": {one_line(record.note, 500)}" if record.note else "")]
    if isinstance(record, LandRecord):
        return [f"land: commit {record.commit[:12]} on {record.branch.removeprefix('refs/heads/')}"]
    return [f"ended: {record.outcome}" + (f": {one_line(record.why, 500)}" if record.why else "")]


def tests_lines(tests: TestsSeen) -> list[str]:
    """The tests of a verdict by kind, bounded, with the beginning of what the failing ones said."""
    lines: list[str] = []
    for failing in (*tests.failing, *tests.uncollected)[:SHOWN_TESTS]:
        lines.append(f"failed  {one_line(failing.test)}")
        lines += [f"        {one_line(line)}" for line in failing.message[:MESSAGE].strip().splitlines()[:8]]
    lines += _more(len(tests.failing) + len(tests.uncollected), "failed")
    named = (
        ("missing", tests.missing),
        ("skipped", tests.newly_skipped),
        ("fixed", tests.fail_to_pass),
        ("new", tests.new_tests),
        ("let go", tests.left_contract),
    )
    for word, ids in named:
        lines += [f"{word:<7} {one_line(each)}" for each in ids[:SHOWN_TESTS]]
        lines += _more(len(ids), word)
    return [*lines, *([f"note    {one_line(tests.weak)}"] if tests.weak else [])]


def when(at: float) -> str:
    """A time for people: local, to the minute."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at))


def history_json(repository: Repository, change: ChangeView) -> list[dict[str, Any]]:
    """A change's history as plain values: each record with its key, and a gate's tests."""
    from runner.codec import plain

    told = []
    for entry in change.entries:
        tests = {"tests": plain(tests_seen(repository, entry))} if isinstance(entry.record, GateRecord) else {}
        told.append({"key": entry.key, **plain(entry.record), **tests})
    return told


def _row(change: ChangeView) -> list[str]:
    where = change.landed[:12] if change.landed else change.branch or ""
    return [
        change.id,
        change.outcome or "open",
        _rounds(change),
        money(total_of(change.spent)),
        where,
        change.title,
    ]


def _rounds(change: ChangeView) -> str:
    return f"{change.rounds} round{'' if change.rounds == 1 else 's'}"


def _turn(record: TurnRecord) -> list[str]:
    files = f"{len(record.changed)} file{'' if len(record.changed) == 1 else 's'} changed"
    about = f"{record.end}, {record.steps} step{'' if record.steps == 1 else 's'}, {files}, {duration(record.seconds)}"
    lines = [f"{record.stage}: {record.role} ({record.model}): {about}"]
    lines += _wrapped(record.summary) + _wrapped(record.why)
    lines += _listed("left out by the ignore rules", record.ignored) + _listed("refused", record.refused)
    return lines


def _gate(record: GateRecord) -> list[str]:
    reason = f" ({record.reason})" if record.reason else ""
    by_test = f"{record.passed} passed, {record.failed} failed, {record.skipped} skipped, "
    counts = ("" if record.results == "exit-code" else by_test) + duration(record.seconds)
    ids = f"candidate {record.tree[:12]} on {record.landing[:12]}"
    lines = [f"{record.stage}: gate {record.gate}: {record.status}{reason}: {counts}; {ids}"]
    lines += _wrapped(record.summary)
    lines += _listed("needs permission for" if record.reason == "needs-permission" else "conflicts in", record.paths)
    lines += _listed("an approval must acknowledge", record.acknowledge)
    return lines + _listed("your own tools obey", record.host_paths) + _listed("flag", record.flags)


def _review(record: ReviewRecord) -> list[str]:
    carried = ", carried over: the patch is the same" if record.carried else ""
    seen = "" if record.opened or record.carried else ", opened nothing beyond the diff"
    decision = record.decision.replace("_", " ")
    lines = [f"{record.stage}: {record.role} ({record.model}): {decision}{carried}{seen}"]
    lines += _wrapped(record.summary) + _wrapped(record.why)
    for comment in record.comments:
        place = f"{comment.path}:{comment.line}" if comment.path and comment.line else comment.path or "in general"
        severity = f" [{comment.severity}]" if comment.severity else ""
        lines += [f"  {one_line(f'{place}{severity}')}", *(f"  {line}" for line in _wrapped(comment.body))]
    return lines + _listed("acknowledged", record.acknowledged)


def _wrapped(text: str, width: int = 100) -> list[str]:
    lines = [part for line in text.strip().splitlines() for part in textwrap.wrap(line, width) or [""]]
    return [f"  {line}" for line in lines]


def _listed(what: str, items: Iterable[str]) -> list[str]:
    every = tuple(items)
    return [f"  {what}: {one_line(', '.join(every), 1000)}"] if every else []


def _more(count: int, word: str) -> list[str]:
    return [f"... and {count - SHOWN_TESTS} more {word}"] if count > SHOWN_TESTS else []
