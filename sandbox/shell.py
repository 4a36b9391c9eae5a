"""Many commands over one attached stream: the client of the small agent that runs in the container.

What runs inside can forge its answers, so they serve a turn's tools and are never a gate's result. Every length that
comes out of the container is bounded, every wait has an end.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Literal, NoReturn, Protocol, Self

from sandbox.base import ExecResult, FileRefused, SandboxDied, SandboxError
from sandbox.harden import PREPARE
from sandbox.stream import Stream
from sandbox.values import ContainerState

_HERE = Path(__file__).parent
_START = 60.0  # seconds for an agent to say that it is there, on a busy machine
_SLACK = 20.0  # seconds on top of a command's own limit, for an agent that competes with what it runs
_FILES = 60.0  # seconds for a file to go in or out
_LONG = 100_000  # a longer command cannot be an argument (Linux: 128 KiB for one)

# Asks for the agent that fits and becomes it. Where python3 is missing, or too old to compile the agent (status 1),
# that is the loop in plain sh. The texts come over the stream, so that they do not fill the container's `ps`.
_PYTHON = """
if command -v python3 >/dev/null 2>&1; then
    echo want python
    python3 -I -S -c 'import sys; f = sys.stdin.buffer; exec(compile(f.read(int(f.readline())), "agent", "exec"))'
    [ $? -eq 1 ] || exit 0
fi
"""
_SH = """
echo want sh
read -r n
eval "$(head -c "$n")"
"""


class Containers(Protocol):
    """What a shell asks of the engine about its own container."""

    def settle(self, container: str, *, wait: float) -> ContainerState | None: ...

    def remove(self, container: str) -> None: ...


@dataclass(frozen=True)
class _Answer:
    status: int
    timed_out: bool
    omitted: int
    body: bytes


def entrypoint(*, python: bool = True) -> tuple[str, ...]:
    """The main process of a sandbox. `python` False: the loop in sh even where python3 is there."""
    return ("/bin/sh", "-c", PREPARE + (_PYTHON if python else "") + _SH, "relay")


def _escaped(text: bytes) -> bytes:
    """For `printf %b`: one line of printable ASCII."""
    safe = {code: bytes([code]) for code in range(0x20, 0x7F)}
    safe[0x5C] = b"\\\\"
    return b"".join(safe.get(code) or b"\\0%03o" % code for code in text) + b"\n"


@cache
def agent_text(name: str) -> bytes:
    """One of the two programs that answer in a container, by the name of its file."""
    return (_HERE / name).read_bytes()


class Shell:
    """A running container with an agent on its stream; see `sandbox.base.Sandbox` for the contract."""

    def __init__(
        self,
        container: str,
        stream: Stream,
        engine: Containers,
        *,
        output: int,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._id = container
        self._stream = stream
        self._engine = engine
        self._output = output
        self._now = now
        self._buffer = bytearray()
        self._noise = b""
        self._calls = 0
        self._dead: str | None = None
        self._closed = False
        self.agent: Literal["python", "sh"] = "python"

    @property
    def id(self) -> str:
        return self._id

    def greet(self) -> None:
        """Wait for the agent's first word. Raises SandboxError when the image cannot run one."""
        deadline = self._now() + _START
        try:
            while (word := self._line(deadline)) in (b"want python", b"want sh"):
                text = agent_text("agent.py" if word == b"want python" else "loop.sh")
                self._send(b"%d\n%s" % (len(text), text), _START)
        except SandboxDied:
            said = self._noise.decode(errors="replace").strip() or "it said nothing"
            if "exec /bin/sh failed" in said:  # the words of the init that the engine puts before it
                raise SandboxError("the image has no /bin/sh: name one that has in `sandbox: image`") from None
            raise SandboxError(f"the image cannot run relay's agent: {said}") from None
        self.agent = "python" if word == b"ready python" else "sh"

    def exec(self, command: str, *, timeout: float) -> ExecResult:
        """Run `sh -c command` in the work directory; the contract is `Sandbox.exec`."""
        text = command.encode("utf-8", "surrogateescape")
        if b"\0" in text:
            return ExecResult(126, b"a command cannot hold a NUL byte\n", 0, False, 0.0)
        if len(text) > _LONG:
            self.write("/run/relay/command", text)
            text = b'eval "$(cat /run/relay/command)"'
        started = self._now()
        # The loop in sh counts whole seconds.
        limit = int(timeout * 1000) if self.agent == "python" else -int(-timeout // 1)
        answer = self._ask(b"X", text, limit, self._output, b"", wait=timeout + _SLACK, most=self._output + 2)
        return ExecResult(
            status=answer.status,
            output=answer.body,
            omitted=answer.omitted,
            timed_out=answer.timed_out,
            seconds=self._now() - started,
        )

    def read(self, path: str, *, limit: int) -> bytes:
        """The first `limit` bytes of a regular file; the contract is `Sandbox.read`."""
        answer = self._ask(b"R", self._path(path), limit, 0, b"", wait=_FILES, most=max(limit, 4096))
        if answer.status:
            raise FileRefused(f"{path}: {answer.body[:1000].decode(errors='replace')}")
        return answer.body[:limit]

    def write(self, path: str, content: bytes) -> None:
        """Replace a file's content; the contract is `Sandbox.write`."""
        name = self._path(path)
        answer = self._ask(b"W", name, len(name), len(content), content, wait=_FILES, most=4096)
        if answer.status:
            raise FileRefused(f"{path}: {answer.body[:1000].decode(errors='replace')}")

    def close(self) -> None:
        """Kill and remove the container; safe to call twice."""
        if not self._closed:
            self._closed = True
            self._stream.close()
            self._engine.remove(self._id)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _path(self, path: str) -> bytes:
        name = path.encode("utf-8", "surrogateescape")
        if not name or b"\0" in name:
            raise FileRefused(f"{path!r} is no path of a file")
        return name

    def _ask(
        self, op: bytes, text: bytes, first: int, second: int, content: bytes, *, wait: float, most: int
    ) -> _Answer:
        if self._dead is not None or self._closed:
            raise SandboxDied(self._dead or "the sandbox is closed")
        self._calls += 1
        request = b"%s %d %d %d" % (op, self._calls, first, second)
        if self.agent == "python":
            request += b" %d\n%s%s" % (len(text) + len(content), text, content)
        else:
            request += b" 0\n" + _escaped(text) + content
        deadline = self._now() + wait
        self._send(request, wait)
        return self._answer(self._line(deadline), deadline, most)

    def _send(self, data: bytes, wait: float) -> None:
        try:
            self._stream.send(data, wait=wait)
        except TimeoutError:
            self._end("the sandbox stopped listening")
        except OSError:
            self._end("the container ended", gone=True)

    def _answer(self, line: bytes, deadline: float, most: int) -> _Answer:
        words = line.split()
        numbers = [int(word) for word in words[1:] if word.isdigit() and len(word) < 16]
        if len(words) != 6 or words[0] != b"R" or len(numbers) != 5 or numbers[0] != self._calls or numbers[4] > most:
            self._end("something in the sandbox wrote onto the tools' stream")
        _, status, timed_out, omitted, size = numbers
        while len(self._buffer) < size:
            self._fill(deadline)
        body = bytes(self._buffer[:size])
        del self._buffer[:size]
        return _Answer(status, bool(timed_out), omitted, body)

    def _line(self, deadline: float) -> bytes:
        while b"\n" not in self._buffer:
            if len(self._buffer) > 200:
                self._end("something in the sandbox wrote onto the tools' stream")
            self._fill(deadline)
        end = self._buffer.index(b"\n")
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line

    def _fill(self, deadline: float) -> None:
        try:
            if self._now() > deadline:  # somebody floods the agent's other output: something always comes
                raise TimeoutError
            chunk = self._stream.chunk(wait=deadline - self._now())
        except TimeoutError:
            self._end("the sandbox did not answer in time")
        except OSError as error:
            self._end(f"the stream broke: {error}")
        if chunk is None:
            self._end("the container ended", gone=True)
        if chunk.stderr:
            self._noise = (self._noise + chunk.data)[-2000:]
        else:
            self._buffer += chunk.data

    def _end(self, what: str, *, gone: bool = False) -> NoReturn:
        """Ask the engine what happened, make sure that nothing runs any more, and say it."""
        self._stream.close()
        state = self._engine.settle(self._id, wait=3.0 if gone else 0.01)
        if state is not None and not state.running:
            what = f"the container ended with status {state.status}" + (", out of memory" if state.oom else "")
        self._dead = what
        self.close()
        raise SandboxDied(what)
