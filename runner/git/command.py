"""How git is run: one command, an environment built from nothing, bytes in and bytes out. Only git's own plumbing.

Nothing of the user's environment passes but PATH: a GIT_DIR or GIT_CONFIG_COUNT there must not reach git.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, BinaryIO

# What every git of relay's sees. No configuration but that of the git directory itself, no hooks, no replaced objects,
# no prompt, no lock that is not needed; a path is a path and never a pattern.
CLEAN: Mapping[str, str] = {
    "LC_ALL": "C",
    "LANGUAGE": "C",
    "TZ": "UTC",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_LITERAL_PATHSPECS": "1",
    "GIT_ALLOW_PROTOCOL": "none",
    "GIT_PAGER": "cat",
    "GIT_EDITOR": "false",
    "GIT_AUTHOR_NAME": "relay",
    "GIT_AUTHOR_EMAIL": "relay@relay.invalid",
    "GIT_COMMITTER_NAME": "relay",
    "GIT_COMMITTER_EMAIL": "relay@relay.invalid",
}

# Given on the command line, so that they win over the user's own repository configuration. `core.fsync`: git's default
# leaves loose objects to the system, and a power cut could then leave a journal that names what is not there.
OPTIONS: tuple[str, ...] = tuple(
    part
    for setting in (
        "core.hooksPath=/dev/null",
        "core.fsmonitor=false",
        "core.logAllRefUpdates=false",
        "core.fsync=committed,reference",  # what a checkpoint or another ref builds on outlasts a power failure
        "core.fsync=committed",
        "core.filesRefLockTimeout=1000",
        "core.packedRefsTimeout=2000",
        "gc.auto=0",
        "maintenance.auto=false",
        "core.pager=cat",
    )
    for part in ("-c", setting)
)


class GitError(Exception):
    """Git, or the repository, does not do what is asked. The text says what happened and what to do."""


class RefMoved(GitError):
    """A ref is not where the caller thought: somebody else moved it first, and nothing was changed.

    `name` is the ref, `now` its value (None: it does not exist), `expected` what the caller thought.
    """

    def __init__(self, name: str, *, now: str | None, expected: str | None) -> None:
        super().__init__(
            f"{name} is at {now or 'nothing'}, not at {expected or 'nothing'}: somebody moved it meanwhile"
        )
        self.name, self.now, self.expected = name, now, expected


class GitTimeout(GitError):
    """A git command did not end in its time and was killed."""


@dataclass(frozen=True)
class Handle:
    """A way to run git: where, and with which variables on top of `CLEAN`."""

    where: Path
    variables: Mapping[str, str] = field(default_factory=dict, hash=False)

    def with_variables(self, **variables: str) -> Handle:
        """The same handle with more variables."""
        return Handle(self.where, {**self.variables, **variables})


@dataclass(frozen=True)
class Output:
    """What a git command did: its exit status and both streams, as bytes."""

    status: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        """stdout as text, without white space around it."""
        return self.stdout.decode("utf-8", "surrogateescape").strip()

    @property
    def complaint(self) -> str:
        """stderr as readable text."""
        return self.stderr.decode("utf-8", "replace").strip()


def run(
    handle: Handle,
    *arguments: str | bytes,
    stdin: bytes = b"",
    accept: Sequence[int] = (0,),
    timeout: float | None = None,
    where: Path | None = None,
) -> Output:
    """Run `git *arguments` to its end and return its output.

    Raises GitError, with command, status and stderr, when the status is not in `accept`; GitTimeout after `timeout`
    seconds.
    """
    process = _start(handle, arguments, where)
    try:
        stdout, stderr = process.communicate(stdin, timeout)
    except subprocess.TimeoutExpired as error:
        process.kill()
        process.communicate()
        raise GitTimeout(f"{_shown(arguments)} did not end within {timeout:g} seconds and was killed") from error
    output = Output(process.returncode, stdout, stderr)
    if output.status not in accept:
        raise GitError(explain(arguments, output))
    return output


@contextmanager
def session(handle: Handle, *arguments: str | bytes, stdin: BinaryIO | None = None) -> Iterator[Session]:
    """A git command that is talked to. Raises GitError at the end when its status is not 0."""
    process = _start(handle, arguments, None, stdin)
    assert process.stdout is not None and process.stderr is not None
    try:
        yield Session(process.stdin, process.stdout, arguments)
        if process.stdin is not None:
            process.stdin.close()
        process.stdout.read()
        output = Output(process.wait(), b"", process.stderr.read())
    except GitError as error:
        process.kill()
        said = process.stderr.read().decode("utf-8", "replace").strip()
        raise GitError(f"{error}\n  {said}") if said else error from None
    finally:
        if process.poll() is None:
            process.kill()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                _close(stream)
        process.wait()
    if output.status:
        raise GitError(explain(arguments, output))


@dataclass(frozen=True)
class Session:
    """The open streams of a running git command."""

    stdin: IO[bytes] | None
    stdout: IO[bytes]
    arguments: tuple[str | bytes, ...]

    def write(self, content: bytes) -> None:
        """Hand `content` over at once. Raises GitError when git is gone."""
        assert self.stdin is not None
        try:
            self.stdin.write(content)
            self.stdin.flush()
        except BrokenPipeError as error:
            raise GitError(f"{_shown(self.arguments)} ended too early") from error

    def line(self) -> bytes:
        """The next line without its newline. Raises GitError at the end of the stream."""
        line = self.stdout.readline()
        if not line.endswith(b"\n"):
            raise GitError(f"{_shown(self.arguments)} ended too early")
        return line[:-1]

    def exactly(self, size: int) -> bytes:
        """The next `size` bytes. Raises GitError when the stream ends before."""
        content = self.stdout.read(size)
        if len(content) != size:
            raise GitError(f"{_shown(self.arguments)} ended too early")
        return content


def explain(arguments: Sequence[str | bytes], output: Output) -> str:
    """A failed command in words: command, exit status, what it said."""
    said = "\n".join(f"  {line}" for line in output.complaint.splitlines()) or "  (it said nothing)"
    return f"{_shown(arguments)} failed with status {output.status}:\n{said}"


def discovery(home: Mapping[str, str], path: Path) -> Handle:
    """The handle that only looks for a repository: it honours the user's own `safe.directory`, and nothing else."""
    kept = {name: home[name] for name in ("HOME", "XDG_CONFIG_HOME", "SUDO_UID") if name in home}
    return Handle(path, {**kept, "GIT_CONFIG_GLOBAL": "", "GIT_CONFIG_NOSYSTEM": ""})


def _start(
    handle: Handle, arguments: Sequence[str | bytes], where: Path | None, stdin: BinaryIO | None = None
) -> subprocess.Popen[bytes]:
    # An empty value means: not set at all.
    variables = {"PATH": os.environ.get("PATH", os.defpath), **CLEAN, **handle.variables}
    try:
        return subprocess.Popen(
            ["git", *OPTIONS, "-C", str(where or handle.where), *map(os.fsdecode, arguments)],
            env={name: value for name, value in variables.items() if value},
            stdin=stdin or subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # The terminal's Ctrl-C is relay's to handle: it must not cut a ref transaction short.
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise GitError("git is not installed, or not on PATH: install git 2.39 or newer") from error


def _shown(arguments: Sequence[str | bytes]) -> str:
    words = [os.fsdecode(word) for word in arguments]
    return "git " + " ".join(word if len(word) < 200 else word[:200] + "..." for word in words)


def _close(stream: IO[bytes]) -> None:
    try:
        stream.close()
    except BrokenPipeError:
        return
