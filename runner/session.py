"""One session of a run: take the lock, open everything, drive the flow, write down how it ended.

A run has as many sessions as it takes: a new one after a kill, after Ctrl-C, after somebody's approval.
"""

from __future__ import annotations

import os
import random
import socket
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from pipelines.load import Loaded
from runner import __version__, disk
from runner.agent.lines import LinesError
from runner.codec import convert, plain
from runner.deaths import Deaths, DiedAgain
from runner.engine import EngineBroken, Session, execute
from runner.flow import RunResult
from runner.git.command import GitError
from runner.git.journal import Journal
from runner.git.refs import listed, remove_stale_locks
from runner.git.repo import Repository
from runner.lock import Holder, locked
from runner.models.base import ModelError
from runner.opened import Sink, opened, secrets_of, state_of, sweep
from runner.outcomes import OVER, RunOutcome
from runner.redact import mask, mask_values
from runner.report.log import bound, log_to
from runner.stages import start
from runner.stages.bring_in import BroughtIn
from runner.stages.bring_in import bring_in as land_run
from runner.stages.context import Context, Interrupted, ProviderDown
from runner.stages.every import Every
from runner.stages.names import journal_ref, new_run_id
from runner.stages.put_away import put_away
from runner.stages.records import EndRecord, LandRecord, Options, TaskEnd
from runner.stopping import Stop, stoppable
from sandbox.base import SandboxError
from sandbox.docker import connect
from sandbox.image import SetupFailed, ensure_image
from sandbox.overlay import remove_home

PATIENCE = 4.0  # seconds for a stage to let go after Ctrl-C
MACHINERY = (SandboxError, GitError, ModelError, ProviderDown, SetupFailed, LinesError, EngineBroken, DiedAgain)


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
        first = start.beginning(repository, run, target)
        record = start.started(repository, run, frozen, pipeline, first.commit, relay=__version__, at=time.time())
        secrets = secrets_of(pipeline, environ)
        files = {"pipeline": frozen.text.encode()} | {
            f"file.{number}": frozen.files[name] for number, name in enumerate(record.files, start=1)
        }
        masked = {name: mask(content.decode(errors="replace"), secrets).encode() for name, content in files.items()}
        journal = Journal(repository, journal_ref(run))
        journal.append("start", mask_values(plain(record), secrets), masked, also=first.moves)
        remarks = [*first.said, *start.remarks(repository, target)]
        return _session(repository, run, environ, sink, remarks)


def resume(
    repository: Repository, run: str, environ: Mapping[str, str], sink: Sink, max_cost: str | None = None
) -> Ended:
    """Go on with a run; `max_cost` (USD) is its budget from now on. Raises Locked, GitError."""
    with locked(repository.state / "lock", Holder(run, os.getpid(), socket.gethostname(), time.time())):
        remarks = []
        if max_cost is not None:
            start.spend(state_of(repository, run), max_cost)
            remarks.append(f"the run may cost {max_cost} USD from now on, what it has spent included")
        return _session(repository, run, environ, sink, remarks)


def bring_in(repository: Repository, run: str, environ: Mapping[str, str], sink: Sink) -> BroughtIn:
    """Bring what the run landed into its target. Raises Locked, GitError, SandboxError, KeyboardInterrupt."""
    with locked(repository.state / "lock", Holder(run, os.getpid(), socket.gethostname(), time.time())):
        frozen = start.frozen_of(state_of(repository, run))
        with (
            stoppable() as stop,
            opened(repository, run, frozen, frozen.pipeline(), environ, sink, stop.asked) as context,
        ):
            return land_run(context)


def _session(repository: Repository, run: str, environ: Mapping[str, str], sink: Sink, remarks: list[str]) -> Ended:
    """One session, whatever it comes to. Raises GitError when the run cannot go on here."""
    folder = state_of(repository, run)
    if (folder / "cancel").exists():  # asked for, and then the process was killed
        return cancelled(repository, run)
    frozen = start.frozen_of(folder)
    pipeline = frozen.pipeline()
    secrets = secrets_of(pipeline, environ)
    try:
        with ExitStack() as stack:
            stop = stack.enter_context(stoppable())
            stack.enter_context(log_to(folder / "log.jsonl", secrets=secrets))
            stack.enter_context(bound(run=run))
            remove_stale_locks(repository, _landing(repository, run))
            context = stack.enter_context(opened(repository, run, frozen, pipeline, environ, sink, stop.asked))
            for remark in remarks:
                context.emit("notice", text=remark)
            context.emit("run started", pipeline=frozen.name, target=context.target, tasks=len(pipeline.tasks))
            ended = _drive(context, stop)
            total = context.ledger.account()
            context.emit(
                "run ended",
                outcome=ended.outcome,
                why=ended.why,
                cost_usd=None if total.cost is None else float(total.cost),
            )
            return ended
    except KeyboardInterrupt:
        return _stopped(run)
    except (*MACHINERY, OSError) as error:
        if isinstance(error, OSError) and not disk.refuses(error):
            raise
        return Ended(run, "broken", mask(_said(error, folder), secrets), error)


def _drive(context: Context, stop: Stop) -> Ended:
    deaths = Deaths(context.folder / "deaths.jsonl", lambda: _come(context))
    session = Session(f"{context.run}.{context.epoch}", Every(context), context.pipeline, deaths)
    stop.then = lambda: session.fail(Interrupted())
    with deaths:
        try:
            result = execute(session, context.repository.state)
        except Interrupted:
            return _interrupted(context, session)
        except (*MACHINERY, OSError) as error:
            if isinstance(error, OSError) and not disk.refuses(error):
                raise
            session.parked.wait(PATIENCE)
            why = context.mask(_said(error, context.folder))
            with suppress(GitError, OSError):  # what broke may be what it would be written to
                _end(context, RunResult("broken", why=why))
            return Ended(context.run, "broken", why, error)
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


def _tidy(context: Context, outcome: RunOutcome) -> None:
    """What nobody needs after this end goes, before the end is written. What cannot go now stays, and is named."""
    try:
        put_away(context.repository, context.run)
        if outcome in OVER:
            for part in ("turns", "gates"):  # what a kill left between a record and the removal of its workspace
                remove_home(context.engine, context.folder / part)
    except (GitError, SandboxError) as error:
        context.emit("notice", text=f"something stays for now that is not needed any more: {error}")


def _said(error: BaseException, folder: Path) -> str:
    """An error of the machinery in words with what to do."""
    return disk.sentence(error, folder) if isinstance(error, OSError) else str(error)


def _come(context: Context) -> int:
    """How far the turns under way have come, in bytes of their transcripts: a death after progress counts anew."""
    return sum(path.stat().st_size for path in (context.folder / "turns").glob("*/transcript.jsonl"))


def _landing(repository: Repository, run: str) -> dict[str, str]:
    """The refs that this run may have been moving when it was killed, and where to."""
    refs = listed(repository, f"refs/relay/runs/{run}/changes")
    records = [entry.value for ref in refs for entry in Journal(repository, ref).entries()]
    lands = [convert(value, LandRecord) for value in records if value.get("kind") == "land"]
    return {land.branch: land.commit for land in lands}


def _interrupted(context: Context, session: Session) -> Ended:
    """Let the stage in flight let go; then end what it holds. The run can be resumed, unless it was cancelled."""
    sweep(context.engine)
    session.parked.wait(PATIENCE)
    if (context.folder / "cancel").exists():
        return cancelled(context.repository, context.run)
    return _stopped(context.run)


def _stopped(run: str) -> Ended:
    return Ended(run, "interrupted", f"go on with: relay resume {run}", Interrupted())


def cancelled(repository: Repository, run: str) -> Ended:
    """End a run for good, for whoever holds the lock, or when nobody does. Raises GitError."""
    journal = Journal(repository, journal_ref(run))
    ends = sum(entry.value.get("kind") == "end" for entry in journal.entries())
    record = EndRecord("cancelled", "cancelled by you", at=time.time())
    journal.append(f"end.{1 + ends}", plain(record))
    return Ended(run, "cancelled", record.why, Interrupted())


def _end(context: Context, result: RunResult) -> None:
    _tidy(context, result.outcome)
    tasks = {
        task.id: TaskEnd(task.outcome, {change.id: change.outcome for change in task.changes}, context.mask(task.why))
        for task in result.tasks
    }
    record = EndRecord(result.outcome, result.why, tasks, context.ledger.running(), context.wall())
    context.journal.append(f"end.{context.epoch}", plain(record))
