"""Opens everything that the stages of a session work with, and closes and cleans it up again."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.pipeline import Pipeline
from runner.agent.ledger import Ledger
from runner.codec import convert
from runner.git.command import GitError
from runner.git.journal import Journal
from runner.git.repo import Repository
from runner.limits import Limit
from runner.lock import cache_used
from runner.places import cache_home
from runner.redact import known_secrets, mask, mask_values
from runner.report.log import bindings, log
from runner.stages import start
from runner.stages.context import Context
from runner.stages.names import journal_ref
from runner.stages.records import Started
from sandbox.base import SandboxError
from sandbox.docker import Engine, connect
from sandbox.image import ensure_image
from sandbox.reap import is_alive, is_me, reap
from sandbox.workspace import probe

SANDBOX_UID = 58271  # nobody's, when relay is root

Sink = Callable[[str, Mapping[str, Any]], None]


@dataclass(frozen=True)
class Voice:
    """What a session says, and what it never says: events for the log and for whoever watches, secrets masked."""

    run: str
    sink: Sink
    secrets: Collection[str]

    def emit(self, event: str, /, **keys: Any) -> None:
        """One event, with everything that is bound in this thread."""
        log(event, **{"run": self.run, **keys})
        self.sink(event, mask_values({**bindings(), **keys}, self.secrets))

    def mask(self, text: str) -> str:
        """A text that may be kept."""
        return mask(text, self.secrets)

    def mask_values(self, value: Any) -> Any:
        """A value that may be kept: every text in it masked."""
        return mask_values(value, self.secrets)


def secrets_of(pipeline: Pipeline, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Every value of the environment that no log, record or error may show."""
    return known_secrets(environ, [role.api_key_env for role in pipeline.roles.values() if role.api_key_env])


def state_of(repository: Repository, run: str) -> Path:
    """The run's folder."""
    return repository.state / "runs" / run


def sandbox_ids() -> tuple[int, int]:
    """The uid and gid inside of sandboxes: our own, or nobody's when relay is root."""
    return (os.getuid(), os.getgid()) if os.getuid() else (SANDBOX_UID, SANDBOX_UID)


@contextmanager
def opened(
    repository: Repository,
    run: str,
    frozen: start.Frozen,
    pipeline: Pipeline,
    environ: Mapping[str, str],
    sink: Sink,
    cancelled: threading.Event,
) -> Iterator[Context]:
    """A session's context; whatever happened, no container of this process stays when it closes."""
    journal = Journal(repository, journal_ref(run))
    found = journal.find("start")
    if found is None:
        raise GitError(f"run {run} has no journal: {journal_ref(run)} is missing")
    voice = Voice(run, sink, secrets_of(pipeline, environ))
    folder, budget = state_of(repository, run), pipeline.budget
    limit = Limit(budget.max_cost, budget.max_tokens, budget.max_time)
    with ExitStack() as stack:
        stack.enter_context(cache_used(cache_home(environ)))
        engine = stack.enter_context(connect(environ=environ))
        stack.callback(sweep, engine)
        reap(engine)
        ledger = stack.enter_context(Ledger(folder / "ledger.jsonl", limit, time.monotonic))
        record = convert(found.value, Started)
        yield _context(repository, record, frozen, pipeline, environ, engine, journal, ledger, voice, cancelled)


def _context(
    repository: Repository,
    record: Started,
    frozen: start.Frozen,
    pipeline: Pipeline,
    environ: Mapping[str, str],
    engine: Engine,
    journal: Journal,
    ledger: Ledger,
    voice: Voice,
    cancelled: threading.Event,
) -> Context:
    policy = pipeline.sandbox
    uid, gid = sandbox_ids()
    folder = state_of(repository, record.run)
    (folder / "turns").mkdir(mode=0o700, parents=True, exist_ok=True)
    image = ensure_image(engine, policy.image, pull=policy.pull, on_line=lambda text: voice.emit("image", text=text))
    return Context(
        run=record.run,
        epoch=1 + len([entry for entry in journal.entries() if entry.value.get("kind") == "end"]),
        pipeline=pipeline,
        target=record.target,
        repository=repository,
        engine=engine,
        backend=probe(engine, image, folder / "turns", uid, gid),
        image=image,
        files=start.untracked(repository, policy.files),
        began=record.landing_commit,
        named=frozen.named,
        sources=record.sources,
        uid=uid,
        gid=gid,
        folder=folder,
        cache=cache_home(environ),
        journal=journal,
        ledger=ledger,
        emit=voice.emit,
        mask=voice.mask,
        mask_values=voice.mask_values,
        cancelled=cancelled,
        environ=environ,
        wall=time.time,
        clock=time.monotonic,
    )


def sweep(engine: Engine) -> None:
    """No container and no volume of this process stays behind, and no new one is made. One whose engine does not
    answer is left to the next session."""
    engine.make_no_more()
    with suppress(SandboxError):
        reap(engine, is_alive=lambda owner: not is_me(owner) and is_alive(owner))
