"""One session of a run: take the lock, open everything, drive the flow, write down how it ended.

A run has as many sessions as it takes: a new one after a kill, after Ctrl-C, after somebody's approval.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import FrameType

from pipelines.load import Loaded
from runner import __version__
from runner.codec import plain
from runner.engine import Session, execute
from runner.flow import RunResult
from runner.git.command import GitError
from runner.git.journal import Journal
from runner.git.refs import remove_stale_locks
from runner.git.repo import Repository
from runner.lock import Holder, locked
from runner.models.base import ModelError
from runner.opened import Sink, opened, secrets_of, state_of, sweep
from runner.outcomes import RunOutcome
from runner.redact import mask, mask_values
from runner.report.log import bound, log_to
from runner.stages import start
from runner.stages.bring_in import BroughtIn
from runner.stages.bring_in import bring_in as land_run
from runner.stages.context import Context, Interrupted, ProviderDown
from runner.stages.every import Every
from runner.stages.names import journal_ref, new_run_id
from runner.stages.put_away import put_away
from runner.stages.records import EndRecord, Options, TaskEnd
from sandbox.base import SandboxError
from sandbox.docker import connect
from sandbox.image import SetupFailed, ensure_image

PATIENCE = 4.0  # seconds for a stage to let go after Ctrl-C
MACHINERY = (SandboxError, GitError, ModelError, ProviderDown, SetupFailed)


@dataclass(frozen=True)
class Ended:
    """How a session ended. `failure` is the machinery's error for `broken`; `stuck` threads may still wait."""

    run: str
    outcome: RunOutcome
    why: str = ""
    failure: BaseException | None = None


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
    # Before anything is written: without target, files, engine and image there is no run.
    start.target_of(repository, loaded.pipeline)
    policy = loaded.pipeline.sandbox
    start.untracked(repository, policy.files)
    with (
        connect(environ=environ) as engine,
        locked(repository.state / "lock", Holder(run, os.getpid(), socket.gethostname(), time.time())),
    ):
        ensure_image(engine, policy.image, pull=policy.pull, on_line=lambda text: sink("image", {"text": text}))
        frozen = start.freeze(state_of(repository, run), loaded, options, named)
        pipeline = frozen.pipeline()
        target = start.target_of(repository, pipeline)
        said = start.begin_at(repository, run, target)
        record = start.started(repository, run, frozen, pipeline, relay=__version__, at=time.time())
        secrets = secrets_of(pipeline, environ)
        files = {"pipeline": frozen.text.encode()} | {
            f"file.{number}": frozen.files[name] for number, name in enumerate(record.files, start=1)
        }
        masked = {name: mask(content.decode(errors="replace"), secrets).encode() for name, content in files.items()}
        journal = Journal(repository, journal_ref(run))
        journal.append("start", mask_values(plain(record), secrets), masked)
        remarks = [*([said] if said else []), *start.remarks(repository, target)]
        return _session(repository, run, environ, sink, remarks)


def resume(repository: Repository, run: str, environ: Mapping[str, str], sink: Sink) -> Ended:
    """Go on with a run. Raises Locked, GitError, SandboxError, FileNotFoundError when the run has no state here."""
    with locked(repository.state / "lock", Holder(run, os.getpid(), socket.gethostname(), time.time())):
        return _session(repository, run, environ, sink, [])


def bring_in(repository: Repository, run: str, environ: Mapping[str, str], sink: Sink) -> BroughtIn:
    """Bring what the run landed into its target. Raises Locked, GitError, SandboxError."""
    with locked(repository.state / "lock", Holder(run, os.getpid(), socket.gethostname(), time.time())):
        frozen = start.frozen_of(state_of(repository, run))
        with opened(repository, run, frozen, frozen.pipeline(), environ, sink) as context:
            return land_run(context)


def _session(repository: Repository, run: str, environ: Mapping[str, str], sink: Sink, remarks: list[str]) -> Ended:
    folder = state_of(repository, run)
    frozen = start.frozen_of(folder)
    pipeline = frozen.pipeline()
    secrets = secrets_of(pipeline, environ)
    with ExitStack() as stack:
        stack.enter_context(log_to(folder / "log.jsonl", secrets=secrets))
        stack.enter_context(bound(run=run))
        remove_stale_locks(repository)
        context = stack.enter_context(opened(repository, run, frozen, pipeline, environ, sink))
        for remark in remarks:
            context.emit("notice", text=remark)
        context.emit("run started", pipeline=frozen.name, target=context.target, tasks=len(pipeline.tasks))
        ended = _drive(context, Session(f"{run}.{context.epoch}", Every(context), pipeline))
        put_away(repository, run)
        total = context.ledger.account()
        context.emit(
            "run ended",
            outcome=ended.outcome,
            why=ended.why,
            cost_usd=None if total.cost is None else float(total.cost),
        )
        return ended


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
    _tell_skipped(context, result)
    _end(context, result)
    return Ended(context.run, result.outcome, result.why)


def _tell_skipped(context: Context, result: RunResult) -> None:
    """What no stage has spoken of: tasks that did not begin, changes that were passed over, and why."""
    for task in result.tasks:
        if task.why and not task.changes:
            context.emit("task ended", task=task.id, outcome=task.outcome, why=task.why)
        for change in task.changes:
            if change.outcome == "skipped":
                context.emit("change ended", task=task.id, change=change.id, outcome="skipped", why=change.why)


def _interrupted(context: Context, session: Session) -> Ended:
    """Let the stage in flight let go; then end what it holds. The run can be resumed, unless it was cancelled."""
    sweep(context.engine, context.run)
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
        task.id: TaskEnd(task.outcome, {change.id: change.outcome for change in task.changes}, context.mask(task.why))
        for task in result.tasks
    }
    record = EndRecord(result.outcome, result.why, tasks, context.ledger.running(), context.wall())
    context.journal.append(f"end.{context.epoch}", plain(record))
