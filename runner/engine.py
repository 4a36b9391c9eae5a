"""Binds the flow to dbos: one workflow per session of a run, one child per change, one checkpoint per stage.

The database knows what to do next, git knows what was done: a checkpoint holds ids and words only. A stage that raises
is never checkpointed: its thread is parked, the session ends, and the next one calls the stage again.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy
from dbos import DBOS, DBOSConfig, DBOSPortableJSONSerializer, SetWorkflowID

from pipelines.pipeline import Pipeline
from runner.codec import decode, encode
from runner.deaths import Deaths
from runner.flow import (
    Answered,
    At,
    ChangeResult,
    Implemented,
    Judged,
    Landed,
    Planned,
    PlannedChange,
    RunResult,
    Stages,
    run_change,
    run_pipeline,
)

FLOW_VERSION = "flow-1"  # bump by hand when the order of checkpoints changes

GOING = ("PENDING", "ENQUEUED", "SUCCESS")  # of dbos' words for a workflow: it runs, it will run, it has its result

T = TypeVar("T")


class EngineBroken(Exception):
    """The database of checkpoints cannot be written or read. What was done stands in git all the same."""


@dataclass
class Session:
    """One process's share of a run. `ended` is set by the flow's end, by the first failure, or by a signal."""

    id: str  # the workflow's id, `<run>.<epoch>`
    stages: Stages
    pipeline: Pipeline
    deaths: Deaths
    ended: threading.Event = field(default_factory=threading.Event)
    parked: threading.Event = field(default_factory=threading.Event)  # the stage that failed has let go of everything
    failure: BaseException | None = None
    result: RunResult | None = None

    def fail(self, error: BaseException) -> None:
        """End the session with `error`; the first one counts."""
        if self.failure is None:
            self.failure = error
        self.ended.set()


_session: Session | None = None  # dbos calls module-level functions; this is whom they work for


def execute(session: Session, state: Path) -> RunResult:
    """Run, or go on with, the session's workflow and wait for its end.

    Raises whatever a stage raised (SandboxError, GitError, Interrupted...): nothing of that stage is checkpointed, so
    the same session can be executed again by another process; EngineBroken. The caller holds the lock of `state`.
    """
    global _session
    _session = session
    database = state / "engine.sqlite"
    try:
        with _launched(database, session.id):
            threading.Thread(target=_drive, args=(session,), name="relay-flow", daemon=True).start()
            while not session.ended.wait(1.0):  # short waits, so that signals reach the main thread
                pass
            if session.failure is not None:
                raise session.failure
    except sqlalchemy.exc.DBAPIError as error:
        raise EngineBroken(
            f"{database}: {error.orig}: make room on its disk; a damaged file can be moved away, since git knows what "
            "was done"
        ) from error
    if session.result is None:
        raise RuntimeError("the flow ended without a result")
    return session.result


def _drive(session: Session) -> None:
    try:
        while (found := DBOS.get_workflow_status(session.id)) is not None and found.status not in GOING:
            session.id += "+"  # that one can never go on (the disk was full); stages are safe to repeat
        if found is None:
            with SetWorkflowID(session.id):
                handle: Any = DBOS.start_workflow(_run_workflow)
        else:
            handle = DBOS.retrieve_workflow(session.id)
        session.result = decode(str(handle.get_result()).encode(), RunResult)
    except BaseException as error:  # noqa: BLE001 - a thread's error belongs to whoever waits for it
        session.fail(error)
    session.ended.set()


@contextmanager
def _launched(database: Path, executor: str) -> Iterator[None]:
    for name in ("dbos", "alembic", "sqlalchemy"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what they complain of is raised as well
    engine = _sqlite(database)
    DBOS(
        config=DBOSConfig(
            name="relay",
            system_database_url=f"sqlite:///{database}",
            system_database_engine=engine,
            executor_id=executor,  # recovery takes up the workflows of this session and of no other
            application_version=FLOW_VERSION,
            serializer=DBOSPortableJSONSerializer(),
            log_level="CRITICAL",
        )
    )
    try:
        DBOS.launch()
        yield
        DBOS.destroy(workflow_completion_timeout_sec=0)
    finally:
        engine.dispose()


def _sqlite(database: Path) -> sqlalchemy.Engine:
    engine = sqlalchemy.create_engine(f"sqlite:///{database}", connect_args={"timeout": 30})

    @sqlalchemy.event.listens_for(engine, "connect")
    def _pragmas(connection: Any, _record: Any) -> None:
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=30000", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    return engine


def _checkpoint(name: str, shape: type[T], call: Callable[[Stages], T]) -> T:
    """One stage as a dbos step: its value is recorded, its failure is not."""

    def body() -> str:
        session = _session
        assert session is not None
        try:
            with session.deaths.at(session.id, name):
                value = encode(call(session.stages)).decode()
            if not session.ended.is_set():
                return value
        except BaseException as error:  # noqa: BLE001 - whoever waits for the session raises it
            session.fail(error)
        # The process ends, and the step is never recorded: also not what a stage made of being swept away.
        session.parked.set()
        threading.Event().wait()
        raise AssertionError("parked for good")

    recorded: str = DBOS.run_step({"name": name}, body)
    return decode(recorded.encode(), shape)


class _Checkpointed:
    """`Stages` in which every call is one checkpoint."""

    def begin(self) -> Judged:
        return _checkpoint("begin", Judged, lambda do: do.begin())

    def landed_before(self, task: str) -> str | None:
        return _checkpoint(f"landed_before {task}", Skip, lambda do: Skip(do.landed_before(task))).why

    def plan(self, task: str) -> Planned:
        return _checkpoint(f"plan {task}", Planned, lambda do: do.plan(task))

    def implement(self, at: At) -> Implemented:
        return _checkpoint(_named("implement", at), Implemented, lambda do: do.implement(at))

    def gate(self, at: At) -> Judged:
        return _checkpoint(_named("gate", at), Judged, lambda do: do.gate(at))

    def permit(self, at: At) -> Answered:
        return _checkpoint(_named("permit", at), Answered, lambda do: do.permit(at))

    def review(self, at: At) -> Answered:
        return _checkpoint(_named("review", at), Answered, lambda do: do.review(at))

    def approve(self, at: At) -> Answered:
        return _checkpoint(_named("approve", at), Answered, lambda do: do.approve(at))

    def land(self, at: At) -> Landed:
        return _checkpoint(_named("land", at), Landed, lambda do: do.land(at))

    def close(self, result: ChangeResult, at: At) -> None:
        _checkpoint(_named("close", at), Skip, lambda do: _closed(do, result, at))

    def change(self, change: PlannedChange, task: str) -> ChangeResult:
        assert _session is not None
        with SetWorkflowID(f"{_session.id}.{change.id}"):
            return decode(_change_workflow(encode(change).decode(), task).encode(), ChangeResult)


@dataclass(frozen=True)
class Skip:
    """A checkpoint that holds a reason or nothing."""

    why: str | None = None


def _closed(do: Stages, result: ChangeResult, at: At) -> Skip:
    do.close(result, at)
    return Skip()


def _named(verb: str, at: At) -> str:
    return f"{verb} {at.change} r{at.round}.{at.attempt} {at.stage}"


@DBOS.workflow(name="relay-run")
def _run_workflow() -> str:
    assert _session is not None
    return encode(run_pipeline(_Checkpointed(), _session.pipeline)).decode()


@DBOS.workflow(name="relay-change")
def _change_workflow(change: str, task: str) -> str:
    assert _session is not None
    stages: Sequence[Any] = _session.pipeline.stages
    return encode(run_change(_Checkpointed(), stages, decode(change.encode(), PlannedChange), task)).decode()
