"""The contract of a sandbox: a throwaway machine for code that nobody trusts.

`tests/sandbox/contract.py` is the suite that every implementation passes. Nothing here knows git or models.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal, Protocol, Self

Network = Literal["none", "full"]


@dataclass(frozen=True)
class Limits:
    """What one sandbox may use: CPUs, bytes of memory (swap included), processes, bytes of output per command."""

    cpus: float = 2.0
    memory: int = 4 * 1024**3
    pids: int = 512
    output: int = 1024**2


@dataclass(frozen=True)
class Mount:
    """A volume by name, or a directory of the host by path, at `target` inside."""

    kind: Literal["volume", "bind"]
    source: str
    target: str
    read_only: bool = False


@dataclass(frozen=True)
class SandboxSpec:
    """Everything that makes one container. `user` is `uid:gid`.

    `env` comes on top of the image's own environment and relay's few defaults; nothing of the host comes in.
    """

    image: str
    user: str
    mounts: tuple[Mount, ...]
    labels: Mapping[str, str]
    env: Mapping[str, str] = field(default_factory=dict)
    network: Network = "none"
    limits: Limits = Limits()
    workdir: str = "/work"


@dataclass(frozen=True)
class ExecResult:
    """What a command did. `status` is its exit status, 124 when the time limit ended it.

    `output` is stdout and stderr together, head and tail; `omitted` is how many bytes lie between them.
    """

    status: int
    output: bytes
    omitted: int
    timed_out: bool
    seconds: float


class SandboxError(Exception):
    """The engine does not do what it promises: it is down, refuses, or does not answer. Never a model's doing."""


class SandboxDied(Exception):
    """The container ended under a command (killed from inside, out of memory): the command's doing."""


class FileRefused(Exception):
    """A file of the sandbox cannot be read or written as asked; the text is for the model."""


class Sandbox(Protocol):
    """A running container whose tool calls go over one attached stream."""

    @property
    def id(self) -> str: ...

    def exec(self, command: str, *, timeout: float) -> ExecResult:
        """Run `sh -c command` in the work directory, in a process group of its own, with stdin closed.

        Never raises for what the command does, but `SandboxDied` when the container ended under it.
        Raises `SandboxError` when the engine does not answer.
        """
        ...

    def read(self, path: str, *, limit: int) -> bytes:
        """The first `limit` bytes of a regular file. Raises FileRefused, SandboxDied, SandboxError."""
        ...

    def write(self, path: str, content: bytes) -> None:
        """Replace a file's content, making its parent directories. Raises as `read` does."""
        ...

    def close(self) -> None:
        """Kill and remove; safe to call twice, or when starting failed."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


@dataclass(frozen=True)
class CommandRun:
    """A gate's command, run as told by the engine and not by the tools' stream.

    `end` is how the process ended: by itself (`exited`), by our time limit, killed (signal, out of memory, container
    gone), or never started (`could-not-run`: the shell says 126 or 127).
    """

    end: Literal["exited", "timeout", "killed"]
    status: int | None
    output: bytes
    omitted: int
    seconds: float
    files: Mapping[str, bytes]  # of the result volume, by name; bounded
    oom: bool = False
