"""The end of a session for the branches: among the user's own stay only those that wait for somebody."""

from __future__ import annotations

from runner.git.refs import RefUpdate, move, read
from runner.git.repo import Repository
from runner.reading import read_run
from runner.stages.names import branch_ref, head_ref

DONE = ("landed", "no-change")


def put_away(repository: Repository, run: str) -> None:
    """Move the branches of changes that are done below refs/relay. Safe to repeat."""
    for change in read_run(repository, run).changes:
        branch, kept = branch_ref(run, change.id), head_ref(run, change.id)
        head = read(repository, branch) if change.outcome in DONE else None
        if head is not None:
            move(repository, [RefUpdate(kept, head, read(repository, kept)), RefUpdate(branch, None, head)])
