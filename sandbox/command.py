"""A command whose end is told by the engine alone: for gates and setup.

The container's main process idles and the command is an exec, so the engine knows its exit status while the result
volume can still be read. Nothing that the command prints or does to its streams decides anything.
"""

from __future__ import annotations

import io
import tarfile
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from sandbox.base import CommandRun, Mount, SandboxError, SandboxSpec
from sandbox.bounded import HeadTail
from sandbox.harden import PREPARE

if TYPE_CHECKING:
    from sandbox.docker import Engine
    from sandbox.stream import Stream

IDLE = ("/bin/sh", "-c", PREPARE + "exec sleep 2147483647", "relay")
_LOOK = 1.0  # seconds of output before the engine is asked whether the command has ended; then ever longer
_LOOK_MOST = 5.0
_LAST = 1024 * 1024  # bytes still taken after the end, when a background process goes on printing


@dataclass(frozen=True)
class Command:
    """What to run in a container that exists: `sh -c text` with this environment on top of the container's own."""

    text: str
    timeout: float
    output: int
    env: Mapping[str, str] = field(default_factory=dict)
    user: str = ""
    workdir: str = "/work"


@dataclass(frozen=True)
class CommandEnd:
    """How it ended. `status` is None when nobody can know it."""

    end: Literal["exited", "timeout", "killed"]
    status: int | None
    output: bytes
    omitted: int
    seconds: float


def run_command(
    engine: Engine, spec: SandboxSpec, command: str, *, timeout: float, collect: tuple[str, ...], result_bytes: int
) -> CommandRun:
    """Run `command` in a hardened container of its own with an empty volume at /relay; see `Engine.run_command`."""
    volume = f"relay-result-{uuid.uuid4().hex[:16]}"
    uid, gid = spec.user.split(":")
    options = {
        "type": "tmpfs",
        "device": "tmpfs",
        "o": f"size={result_bytes},uid={uid},gid={gid},mode=0700,nr_inodes=4096",
    }
    engine.create_volume(volume, options, labels=spec.labels)
    try:
        mounts = (*spec.mounts, Mount("volume", volume, "/relay"))
        container = engine.create(replace(spec, mounts=mounts), IDLE)
        try:
            engine.start_container(container)
            ended = run_exec(engine, container, Command(command, timeout, spec.limits.output, workdir=spec.workdir))
            files = {}
            for name in collect:
                content = _collect(engine, container, f"/relay/{name}", result_bytes)
                if content is not None:
                    files[name] = content
            oom = engine.saw_oom(container)
            state = engine.state(container)
            if ended.end == "exited" and (state is None or not state.running):
                ended = replace(ended, end="killed")  # it ended the container, and its results with it
        finally:
            engine.remove(container)
    finally:
        engine.remove_volume(volume)
    return CommandRun(ended.end, ended.status, ended.output, ended.omitted, ended.seconds, files, oom)


def run_exec(
    engine: Engine,
    container: str,
    command: Command,
    *,
    on_output: Callable[[bytes], None] = lambda data: None,
    now: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> CommandEnd:
    """Run a command in a running container until the engine says that it ended, or until its time is over.

    A time-out leaves the container killed. Raises SandboxError when the engine does not answer.
    """
    kept = HeadTail(command.output)
    started = now()
    deadline = started + command.timeout

    def take(data: bytes) -> None:
        kept.add(data)
        on_output(data)

    execution, stream = engine.exec_start(container, command)
    try:
        over = _read(engine, execution, stream, take, deadline, now)
    finally:
        stream.close()
    pause = 0.01
    while not over and now() < deadline:
        over = not _running(engine, container, execution)
        if not over:
            sleep(pause)
            pause = min(pause * 2, 1.0)
    seconds = now() - started
    if not over:
        engine.kill(container)
        return CommandEnd("timeout", None, kept.output, kept.omitted, seconds)
    status = engine.exec_state(execution).status
    # A shell and the engine both say 128 + n for a signal; 1..64 are all there are.
    killed = status is None or 128 < status <= 192
    return CommandEnd("killed" if killed else "exited", status, kept.output, kept.omitted, seconds)


def _read(
    engine: Engine,
    execution: str,
    stream: Stream,
    take: Callable[[bytes], None],
    deadline: float,
    now: Callable[[], float],
) -> bool:
    """Read until the end of the stream (False: the process may still run) or of the process (True), or the deadline."""
    interval = _LOOK
    look = now() + interval
    while now() < deadline:
        try:
            chunk = stream.chunk(wait=min(deadline, look) - now())
            if chunk is None:
                return False
            take(chunk.data)
        except TimeoutError:
            pass
        if now() >= look:
            if not engine.exec_state(execution).running:
                _rest(stream, take, now)
                return True
            interval = min(interval * 1.5, _LOOK_MOST)
            look = now() + interval
    return False


def _rest(stream: Stream, take: Callable[[bytes], None], now: Callable[[], float]) -> None:
    taken = 0
    until = now() + _LOOK
    while taken < _LAST and now() < until:  # in bytes and in time: a background process may print one now and then
        try:
            chunk = stream.chunk(wait=0.05)
        except TimeoutError:
            return
        if chunk is None:
            return
        taken += len(chunk.data)
        take(chunk.data)


def _running(engine: Engine, container: str, execution: str) -> bool:
    if not engine.exec_state(execution).running:
        return False
    # An exec of a container that has died may be left "running" in the engine's books.
    state = engine.state(container)
    return state is not None and state.running


def _collect(engine: Engine, container: str, path: str, limit: int) -> bytes | None:
    """A regular file of a running container, None when it is missing, no regular file, or larger than `limit`."""
    try:
        archive = engine.archive(container, path, limit + 64 * 1024)
    except SandboxError:
        return None  # the container is gone, and its result volume with it
    if archive is None:
        return None
    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:") as tar:
            member = tar.next()
            if member is None or not member.isreg() or member.size > limit:
                return None
            file = tar.extractfile(member)
            return file.read(limit) if file else None
    except (tarfile.TarError, EOFError):
        return None
