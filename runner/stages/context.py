"""What every stage of a session works with: opened once, handed to each."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.pipeline import Pipeline, Role, Stage, Task, Verb
from runner.agent.ledger import Ledger
from runner.agent.turn import Emit
from runner.git.journal import Journal
from runner.git.repo import Repository
from runner.stages.names import change_journal_ref
from sandbox.docker import Engine
from sandbox.workspace import Backend


class Interrupted(Exception):
    """The session was asked to stop (Ctrl-C, SIGTERM, `relay cancel`); the run can be resumed."""


class ProviderDown(Exception):
    """No model of a role answers any more; the run can be resumed when one does."""


@dataclass(frozen=True)
class Context:
    """One session of a run. `files` are the policy's untracked files by path; `folder` is the run's state folder."""

    run: str
    epoch: int
    pipeline: Pipeline
    target: str
    repository: Repository
    engine: Engine
    backend: Backend
    image: str  # id of the base image
    files: Mapping[str, bytes]
    began: str  # the landing branch's commit when the run began
    named: tuple[str, ...]  # the pipeline file and what it names, from the tree's root: host paths
    sources: Mapping[str, str]  # task id -> `path:blob` of the file it came from
    uid: int
    gid: int
    folder: Path
    cache: Path
    journal: Journal
    ledger: Ledger
    emit: Emit
    mask: Callable[[str], str]
    mask_values: Callable[[Any], Any]  # the same for every text in a value
    cancelled: threading.Event
    environ: Mapping[str, str]
    wall: Callable[[], float]  # seconds since the epoch, UTC
    clock: Callable[[], float]  # monotonic seconds

    def change_journal(self, change: str) -> Journal:
        """The journal of one change."""
        return Journal(self.repository, change_journal_ref(self.run, change))

    def stage(self, name: str) -> Stage:
        """A stage by its name."""
        return next(stage for stage in self.pipeline.stages if stage.name == name)

    def stages(self, verb: Verb) -> tuple[Stage, ...]:
        """All stages of a verb, in order."""
        return tuple(stage for stage in self.pipeline.stages if stage.verb == verb)

    def task(self, task_id: str) -> Task:
        """A task by its id."""
        return next(task for task in self.pipeline.tasks if task.id == task_id)

    def role(self, name: str) -> Role:
        return self.pipeline.roles[name]

    def labels(self, kind: str) -> dict[str, str]:
        """What marks a container of this session as ours; the engine adds host, process and start time."""
        return {"relay.run": self.run, "relay.kind": kind}

    def check_interrupted(self) -> None:
        """Raises Interrupted once the session was asked to stop."""
        if self.cancelled.is_set():
            raise Interrupted
