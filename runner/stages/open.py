"""A change's beginning: its branch, whose first commit is the spec, and its journal."""

from __future__ import annotations

from runner.codec import plain
from runner.git.history import tree_of, with_trailers
from runner.git.objects import Identity, role_identity, write_commit
from runner.git.refs import RefUpdate, move, read
from runner.stages.branches import found, landing_tip
from runner.stages.context import Context
from runner.stages.land import prose, subject
from runner.stages.names import branch_ref
from runner.stages.records import ChangeText, OpenRecord, PlannedRecord
from runner.stages.tasks import identity


def open_change(context: Context, task: str, change: str) -> OpenRecord:
    """Begin a change on the landing branch as it is now. Safe to repeat."""
    journal = context.change_journal(change)
    record = found(journal, "open", OpenRecord)
    if record is not None:
        return record
    planned = found(context.journal, f"plan.{task}", PlannedRecord)
    if planned is None:
        raise LookupError(f"task {task} was never planned")
    number = next(n for n, text in enumerate(planned.changes, start=1) if text.id == change)
    text, base = planned.changes[number - 1], landing_tip(context)
    spec = write_commit(
        context.repository,
        tree_of(context.repository, base),
        [base],
        _message(context, planned, text, number),
        author=_author(context, planned),
        when=int(planned.at),
    )
    branch = branch_ref(context.run, change)
    move(context.repository, [RefUpdate(branch, spec, read(context.repository, branch))])
    record = OpenRecord(
        change=change,
        task=task,
        title=context.mask(text.title),
        body=context.mask(text.body),
        number=number,
        total=len(planned.changes),
        needs=text.needs,
        may_change=text.may_change,
        base=base,
        spec_commit=spec,
        at=context.wall(),
    )
    journal.append("open", plain(record))
    return record


def _author(context: Context, planned: PlannedRecord) -> Identity:
    return role_identity(planned.role, planned.model) if planned.role else Identity("you", "you@relay.invalid")


def _message(context: Context, planned: PlannedRecord, text: ChangeText, number: int) -> str:
    part = f"{subject(text.title)}\n\n{prose(text.body)}"
    whole = f"Spec: {subject(planned.title)}\n\n{prose(planned.body)}"
    body = part if planned.body.strip() == text.body.strip() else f"{part}\n\n{whole}"
    return with_trailers(
        context.mask(body),  # a key that nothing ends must not take the trailers with it
        [
            ("Relay-Kind", "spec"),
            ("Relay-Run", context.run),
            ("Relay-Task", identity(context, planned.task)),
            ("Relay-Change", f"{text.id} {number}/{len(planned.changes)}"),
            *([("Relay-Role", planned.role), ("Relay-Model", planned.model)] if planned.role else []),
        ],
    )
