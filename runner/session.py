"""One session of a run: take the lock, open everything, drive the flow, write down how it ended.

A run has as many sessions as it takes: a new one after a kill, after Ctrl-C, after somebody's approval.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from pipelines.load import Loaded
from pipelines.pipeline import Pipeline
from runner import __version__
from runner.agent.ledger import Ledger
from runner.codec import convert, plain
from runner.engine import Session, execute
from runner.flow import RunResult
from runner.git.command import GitError
from runner.git.journal import Journal
from runner.git.refs import remove_stale_locks
from runner.git.repo import Repository
from runner.limits import Limit
from runner.lock import Holder, locked
from runner.models.base import ModelError
from runner.outcomes import RunOutcome
from runner.redact import known_secrets, mask
from runner.report.log import bindings, bound, log, log_to
from runner.stages import start
from runner.stages.context import Context, Interrupted, ProviderDown
from runner.stages.every import Every
from runner.stages.land import put_away
from runner.stages.names import journal_ref, new_run_id
from runner.stages.records import EndRecord, Options, Started, TaskEnd
from sandbox.base import SandboxError
from sandbox.docker import Engine, connect
from sandbox.image import SetupFailed, ensure_image
from sandbox.reap import reap
from sandbox.workspace import probe

SANDBOX_UID = 58271  # nobody's, when relay is root
PATIENCE = 4.0  # seconds for a stage to let go after Ctrl-C
MACHINERY = (SandboxError, GitError, ModelError, ProviderDown, SetupFailed)

Sink = Callable[[str, Mapping[str, Any]], None]


@dataclass(frozen=True)
class Ended:
    """How a session ended. `failure` is the machinery's error for `broken`; `stuck` threads may still wait."""

    run: str
    outcome: RunOutcome
    why: str = ""
    failure: BaseException | None = None


def state_of(repository: Repository, run: str) -> Path:
    """The run's folder."""
    return repository.state / "runs" / run


def cache_home(environ: Mapping[str, str]) -> Path:
    """relay's part of the user's cache folder (XDG Base Directory Specification)."""
    home = environ.get("XDG_CACHE_HOME") or str(Path(environ.get("HOME", "/root")) / ".cache")
    return Path(home) / "relay"


def begin(
    repository: Repository,
    loaded: Loaded,
    named: tuple[str, ...],
    options: Options,
    environ: Mapping[str, str],
    sink: Sink,
) -> Ended:
    """Start a new run and drive it to the end of its first session. Raises Locked, GitError, SandboxError."""
    run = new_run_id(time.time(), random.SystemRandom())
    with locked(repository.state / "lock", Holder(run, os.getpid(), socket.gethostname(), time.time())):
        frozen = start.freeze(state_of(repository, run), loaded, options, named)
        pipeline = frozen.pipeline()
        target = start.target_of(repository, pipeline)
        said = start.begin_at(repository, run, target)
        record = start.started(repository, run, frozen, pipeline, relay=__version__, at=time.time())
        secrets = known_secrets(environ)
        files = {"pipeline": frozen.text.encode()} | {
            f"file.{number}": frozen.files[name] for number, name in enumerate(record.files, start=1)
        }
        masked = {name: mask(content.decode(errors="replace"), secrets).encode() for name, content in files.items()}
        journal = Journal(repository, journal_ref(run))
        journal.append("start", plain(record), masked)
        remarks = [*([said] if said else []), *start.remarks(repository, target)]
        return _session(repository, run, environ, sink, remarks)


def resume(repository: Repository, run: str, environ: Mapping[str, str], sink: Sink) -> Ended:
    """Go on with a run. Raises Locked, GitError, SandboxError, FileNotFoundError when the run has no state here."""
    with locked(repository.state / "lock", Holder(run, os.getpid(), socket.gethostname(), time.time())):
        return _session(repository, run, environ, sink, [])


def _session(repository: Repository, run: str, environ: Mapping[str, str], sink: Sink, remarks: list[str]) -> Ended:
    folder = state_of(repository, run)
    frozen = start.frozen_of(folder)
    pipeline = frozen.pipeline()
    secrets = known_secrets(environ, [role.api_key_env for role in pipeline.roles.values() if role.api_key_env])
    with ExitStack() as stack:
        stack.enter_context(log_to(folder / "log.jsonl", secrets=secrets))
        stack.enter_context(bound(run=run))
        remove_stale_locks(repository)
        context = stack.enter_context(opened(repository, run, frozen, pipeline, environ, sink))
        for remark in remarks:
            context.emit("notice", text=remark)
        context.emit("run started", pipeline=frozen.name, target=context.target, tasks=len(pipeline.tasks))
        ended = _drive(context, Session(f"{run}.{context.epoch}", Every(context), pipeline))
        total = context.ledger.account()
        context.emit(
            "run ended",
            outcome=ended.outcome,
            why=ended.why,
            cost_usd=None if total.cost is None else float(total.cost),
        )
        return ended


@contextmanager
def opened(
    repository: Repository,
    run: str,
    frozen: start.Frozen,
    pipeline: Pipeline,
    environ: Mapping[str, str],
    sink: Sink,
) -> Iterator[Context]:
    """Everything that the stages of a session work with; closed and cleaned up at the end, whatever happened."""
    folder, cache = state_of(repository, run), cache_home(environ)
    journal = Journal(repository, journal_ref(run))
    found = journal.find("start")
    if found is None:
        raise GitError(f"run {run} has no journal: {journal_ref(run)} is missing")
    record = convert(found.value, Started)
    secrets = known_secrets(environ, [role.api_key_env for role in pipeline.roles.values() if role.api_key_env])

    def masked(text: str) -> str:
        return mask(text, secrets)

    def emit(event: str, /, **keys: Any) -> None:
        log(event, **keys)
        sink(event, {**bindings(), **keys})

    uid, gid = (os.getuid(), os.getgid()) if os.getuid() else (SANDBOX_UID, SANDBOX_UID)
    budget = pipeline.budget
    with ExitStack() as stack:
        engine = stack.enter_context(connect(environ=environ))
        stack.callback(_sweep, engine, run)
        reap(engine)
        policy = pipeline.sandbox
        image = ensure_image(engine, policy.image, pull=policy.pull, on_line=lambda text: emit("image", text=text))
        limit = Limit(budget.max_cost, budget.max_tokens, budget.max_time)
        ledger = stack.enter_context(Ledger(folder / "ledger.jsonl", limit, time.monotonic))
        (folder / "turns").mkdir(mode=0o700, parents=True, exist_ok=True)
        yield Context(
            run=run,
            epoch=_epoch(journal),
            pipeline=pipeline,
            target=record.target,
            repository=repository,
            engine=engine,
            backend=probe(engine, image, folder / "turns", uid, gid),
            image=image,
            files=start.untracked(repository, pipeline.sandbox.files),
            named=frozen.named,
            sources=record.sources,
            uid=uid,
            gid=gid,
            folder=folder,
            cache=cache,
            journal=journal,
            ledger=ledger,
            emit=emit,
            mask=masked,
            cancelled=threading.Event(),
            environ=environ,
            wall=time.time,
            clock=time.monotonic,
        )


def _epoch(journal: Journal) -> int:
    """The number of this session: one more than those that wrote their end. A killed one is gone on with."""
    return 1 + sum(entry.value.get("kind") == "end" for entry in journal.entries())


def _drive(context: Context, session: Session) -> Ended:
    with _signals(context, session):
        try:
            result = execute(session, context.repository.state)
        except Interrupted:
            return _interrupted(context, session)
        except MACHINERY as error:
            session.parked.wait(PATIENCE)
            _end(context, RunResult("broken", why=context.mask(str(error))))
            return Ended(context.run, "broken", context.mask(str(error)), error)
    for task in result.tasks:
        for change in task.changes:
            if change.outcome == "landed":
                put_away(context, change.id)
    _end(context, result)
    return Ended(context.run, result.outcome, result.why)


def _interrupted(context: Context, session: Session) -> Ended:
    """Let the stage in flight let go; then end what it holds. The run can be resumed, unless it was cancelled."""
    _sweep(context.engine, context.run)
    session.parked.wait(PATIENCE)
    error = Interrupted()
    if (context.folder / "cancel").exists():
        _end(context, RunResult("cancelled", why="cancelled by you"))
        return Ended(context.run, "cancelled", "cancelled by you", error)
    return Ended(context.run, "interrupted", f"go on with: relay resume {context.run}", error)


@contextmanager
def _signals(context: Context, session: Session) -> Iterator[None]:
    """Ctrl-C and SIGTERM end the session cleanly; a second one at once."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        if context.cancelled.is_set():
            os._exit(130)
        context.cancelled.set()
        session.fail(Interrupted())

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(context: Context, result: RunResult) -> None:
    tasks = {
        task.id: TaskEnd(task.outcome, {change.id: change.outcome for change in task.changes}, task.why)
        for task in result.tasks
    }
    record = EndRecord(result.outcome, result.why, tasks, context.ledger.running(), context.wall())
    context.journal.append(f"end.{context.epoch}", plain(record))


def _sweep(engine: Engine, run: str) -> None:
    """No container of this run stays behind."""
    for container in engine.containers(f"relay.run={run}"):
        engine.remove(container.id)
