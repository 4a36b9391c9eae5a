"""Which tasks are done already: read from the trailers of what has landed, never from a database."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from runner.git.history import Commit, is_ancestor, log
from runner.stages.branches import landing_tip, landings
from runner.stages.context import Context

_CHANGE = re.compile(r"(\S+) (\d+)/(\d+)")


def identity(context: Context, task_id: str) -> str:
    """What a task is known by in trailers: its own `id`, else where it came from and its content.

    A text of the command line has only a number, `t1`, which could be some file's own id.
    """
    task = context.task(task_id)
    return task.id if task.explicit_id else context.sources.get(task_id, f"{task.id}:{blob_id(task.text.encode())}")


def blob_id(content: bytes) -> str:
    """The id that git gives these bytes (gitformat: SHA-1 of `blob <size> NUL <bytes>`)."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def landed_before(context: Context, task_id: str) -> str | None:
    """Why a task from a file needs no run, or None. Text from the command line always runs, and what this run has
    begun goes on."""
    if context.task(task_id).source is None or context.journal.find(f"plan.{task_id}") is not None:
        return None
    tip = landing_tip(context)
    run = complete(commits_of(context, task_id, tip))
    if run is not None:
        return f"landed in {run}"
    for other, waiting in landings(context.repository, context.target).items():
        if (
            other != context.run
            and not is_ancestor(context.repository, waiting, tip)
            and complete(commits_of(context, task_id, waiting, without=[tip]))
        ):
            return f"skipped: landed in {other}, waits for `relay land {other}`"
    return None


def landed_part(context: Context, task_id: str) -> tuple[str, ...]:
    """The first lines of this task's changes that have landed, oldest first; for planning the rest of it."""
    if context.task(task_id).source is None:
        return ()
    return tuple(commit.subject for commit in reversed(commits_of(context, task_id, landing_tip(context))))


def commits_of(context: Context, task_id: str, tip: str, *, without: Sequence[str] = ()) -> tuple[Commit, ...]:
    """Landed commits of a task, newest first."""
    name = identity(context, task_id)
    commits = log(context.repository, tip, without=without, having=f"Relay-Task: {name}")
    return tuple(commit for commit in commits if commit.trailer("Relay-Task") == name)


def complete(commits: Sequence[Commit]) -> str | None:
    """The run in which all n of m changes of a task landed, or None."""
    seen: dict[tuple[str, int], set[int]] = {}
    for commit in commits:
        change = _CHANGE.fullmatch(commit.trailer("Relay-Change") or "")
        run = commit.trailer("Relay-Run")
        if change and run:
            seen.setdefault((run, int(change[3])), set()).add(int(change[2]))
    return next((run for (run, total), numbers in seen.items() if len(numbers) >= total), None)
