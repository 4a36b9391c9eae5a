"""The tools that touch the workspace: bash, read, edit and write, carried out in the turn's sandbox."""

from __future__ import annotations

import contextlib
import posixpath
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from runner.agent.edits import replace_once
from runner.agent.outputs import capped, describe_binary, is_binary, readable
from sandbox.base import FileRefused, Sandbox, SandboxDied, SandboxError

WORK = "/work"
FILE_LIMIT = 4 * 1024**2  # bytes of a file that read and edit look at, and that write takes
BASH_TIMEOUT = 120
PATIENCE = 3.0  # seconds that a turn waits at its end for a sandbox that is still starting


@dataclass(frozen=True)
class Outcome:
    """What a tool call came to: `text` is for the model. `died`: the sandbox ended under it."""

    text: str
    is_error: bool = False
    died: bool = False
    opened: str = ""
    command: bool = False


class _Refused(Exception):
    """A call that cannot be carried out; the text is for the model."""


class Workbench:
    """Carries out calls in a sandbox that is started with the first one, or ahead of it, and again after it died."""

    def __init__(self, sandbox_for: Callable[[], Sandbox]) -> None:
        self._sandbox_for = sandbox_for
        self._sandbox: Sandbox | None = None
        self._coming: threading.Thread | None = None
        self._lock = threading.Lock()
        self._is_shut = False

    def ahead(self) -> None:
        """Start the sandbox now, while the model thinks. Where that fails, the first call tries and tells."""
        if self._sandbox is None and self._coming is None:
            self._coming = threading.Thread(target=self._come, daemon=True)
            self._coming.start()

    def _come(self) -> None:
        with contextlib.suppress(SandboxError):
            self._take(self._sandbox_for())

    def run(self, tool: str, args: Mapping[str, Any], *, seconds: float, limit: int, again: bool = False) -> Outcome:
        """One call, its arguments checked already. `seconds` is all the time it may take, `limit` the bytes to show.

        With `again` the call may have been carried out before a kill. Raises SandboxError.
        """
        carry_out = {"bash": self._bash, "read": self._read, "edit": self._edit, "write": self._write}[tool]
        try:
            return carry_out(args, seconds, limit, again)
        except (_Refused, FileRefused) as refused:
            return Outcome(str(refused), is_error=True)
        except SandboxDied as died:
            self._drop()
            return Outcome(
                f"the sandbox ended while this ran ({died or 'killed or out of memory'}). You have a fresh one: files "
                "below /work are as they were left, processes and everything outside /work are gone",
                is_error=True,
                died=True,
                command=tool == "bash",
            )

    def close(self) -> None:
        """End the sandbox, and any that a call nobody waits for may still start; safe to call twice."""
        with self._lock:
            self._is_shut = True
        if self._coming is not None:
            self._coming.join(PATIENCE)
        self._drop()

    def _drop(self) -> None:
        with self._lock:
            sandbox, self._sandbox = self._sandbox, None
        if sandbox is not None:
            sandbox.close()

    def _open(self) -> Sandbox:
        coming, self._coming = self._coming, None
        if coming is not None:
            coming.join()
        return self._sandbox or self._take(self._sandbox_for())

    def _take(self, started: Sandbox) -> Sandbox:
        with self._lock:
            if not self._is_shut:
                self._sandbox = started
                return started
        started.close()
        raise SandboxError("the turn has ended")

    def _bash(self, args: Mapping[str, Any], seconds: float, limit: int, again: bool) -> Outcome:
        command = args["command"]
        if "\0" in command:
            raise _Refused("command holds a NUL byte, which no command can hold")
        timeout = max(1.0, min(float(args.get("timeout_s", BASH_TIMEOUT)), seconds))
        done = self._open().exec(command, timeout=timeout)
        note = "(run again after an interruption)\n" if again else ""
        end = f"[ended by the time limit of {timeout:.0f} s]" if done.timed_out else f"[exit status {done.status}]"
        text = capped(readable(done.output), limit, omitted=done.omitted)
        return Outcome(f"{note}{text}{'' if text.endswith(chr(10)) or not text else chr(10)}{end}", command=True)

    def _read(self, args: Mapping[str, Any], seconds: float, limit: int, again: bool) -> Outcome:
        path = inside(args["path"])
        start, end = args.get("start", 1), args.get("end")
        if end is not None and end < start:
            raise _Refused(f"end {end} lies before start {start}")
        data = self._open().read(path, limit=FILE_LIMIT + 1)
        name = posixpath.relpath(path, WORK)
        if is_binary(data):
            return Outcome(f"[{describe_binary(data)}]", opened=name)
        if len(data) > FILE_LIMIT and end is None:
            raise _Refused(f"{name} is larger than {FILE_LIMIT} bytes: look at parts of it with bash (sed -n, grep)")
        return Outcome(_numbered(data, start, end, limit, name), opened=name)

    def _edit(self, args: Mapping[str, Any], seconds: float, limit: int, again: bool) -> Outcome:
        path = inside(args["path"])
        data = self._open().read(path, limit=FILE_LIMIT + 1)
        if len(data) > FILE_LIMIT:
            raise _Refused(f"the file is larger than {FILE_LIMIT} bytes: change it with bash")
        content = data.decode("utf-8", "surrogateescape")
        edited = replace_once(content, args["old"], args["new"], again=again)
        if edited.error:
            raise _Refused(f"{args['path']}: {edited.error}")
        if edited.was_applied:
            return Outcome(f"edited {args['path']} (already done before an interruption)")
        self._open().write(path, edited.content.encode("utf-8", "surrogateescape"))
        line = content.count("\n", 0, content.find(args["old"])) + 1
        return Outcome(f"edited {args['path']} at line {line}")

    def _write(self, args: Mapping[str, Any], seconds: float, limit: int, again: bool) -> Outcome:
        path, content = inside(args["path"]), args["content"].encode()
        if len(content) > FILE_LIMIT:
            raise _Refused(f"content has {len(content)} bytes, at most {FILE_LIMIT} can be written")
        self._open().write(path, content)
        return Outcome(f"wrote {args['path']}: {len(content)} bytes")


def inside(path: str) -> str:
    """The absolute path of a file of the workspace; a path that leads out of it is refused."""
    if "\0" in path:
        raise _Refused("path holds a NUL byte")
    found = posixpath.normpath(posixpath.join(WORK, path))
    if not found.startswith(WORK + "/"):
        raise _Refused(f"{path} is not a file below {WORK}; for other places use bash")
    return found


def _numbered(data: bytes, start: int, end: int | None, limit: int, name: str) -> str:
    lines = readable(data, lone_cr="\r").split("\n")
    if lines and not lines[-1]:
        lines.pop()
    if not lines:
        return f"[{name} is empty]"
    if start > len(lines):
        raise _Refused(f"{name} has {len(lines)} lines, so there is no line {start}")
    shown: list[str] = []
    size = 0
    for number, line in enumerate(lines[start - 1 : end], start=start):
        text = f"{number}\t{capped(line, 2_000)}"
        size += len(text.encode()) + 1
        if size > limit and shown:
            shown.append(f"[lines {number} to {end or len(lines)} left out: read on with start={number}]")
            break
        shown.append(text)
    if b"\r\n" in data:
        shown.append("[its lines end in CR LF]")
    return "\n".join(shown)
