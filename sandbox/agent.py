"""The program that answers tool calls inside a sandbox: sent as text and run by the image's own python3 (3.7 or newer).

Nothing of ours exists in there: it uses the standard library alone, and little of it, since its start costs every turn.
A request is `OP id a b n` and n bytes; an answer `R id status timed_out omitted n` and n bytes (sandbox/shell.py).
"""

from __future__ import annotations

import os
import select
import signal
import stat
import time
from collections.abc import Callable, Iterable

GRACE = 1.0
PIECE = 65536


class Output:
    """Head and tail of what a command wrote, in bounded memory."""

    def __init__(self, limit: int) -> None:
        self.half = max(limit // 2, 1)
        self.head = bytearray()
        self.tail = bytearray()
        self.total = 0

    def add(self, data: bytes) -> None:
        self.total += len(data)
        room = self.half - len(self.head)
        if room > 0:
            self.head += data[:room]
            data = data[room:]
        self.tail += data
        if len(self.tail) > 4 * self.half + PIECE:
            del self.tail[: -self.half]

    def result(self) -> tuple[bytes, int]:
        tail = self.tail[-self.half :]
        return bytes(self.head + tail), self.total - len(self.head) - len(tail)


class Agent:
    """One loop over the attached stream, the running command's pipe and the pipes that earlier commands left."""

    def __init__(self) -> None:
        self.buffer = b""
        self.left_over: set[int] = set()  # pipes that background processes of earlier commands still hold
        wake_read, wake_write = os.pipe()
        os.set_blocking(wake_read, False)
        os.set_blocking(wake_write, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake_write)
        self.wake = wake_read
        # As the container was given it: python itself may add LC_CTYPE to its own (PEP 538).
        with open("/proc/self/environ", "rb", 0) as file:  # noqa: PTH123
            entries = [entry.partition(b"=") for entry in file.readall().split(b"\0") if entry]
        self.environment = {name: value for name, _, value in entries}
        self.poll = select.poll()
        self.poll.register(wake_read, select.POLLIN)

    def serve(self) -> None:
        self.write(b"ready python\n")
        while True:
            op, number, first, second, size = self.line().split()
            payload = self.exactly(int(size))
            if op == b"X":
                answer = self.run(payload, int(first) / 1000.0, int(second))
            elif op == b"R":
                answer = self.guarded(self.read, payload, int(first))
            else:
                answer = self.guarded(self.put, payload[: int(first)], payload[int(first) :])
            status, timed_out, omitted, body = answer
            self.write(b"R %s %d %d %d %d\n" % (number, status, timed_out, omitted, len(body)))
            self.write(body)

    # the stream

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(1, view) :]

    def line(self) -> bytes:
        while b"\n" not in self.buffer:
            self.fill()
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line

    def exactly(self, size: int) -> bytes:
        pieces = [self.buffer]
        have = len(self.buffer)
        while have < size:
            self.buffer = b""
            self.fill()
            pieces.append(self.buffer)
            have += len(self.buffer)
        whole = b"".join(pieces)
        self.buffer = whole[size:]
        return whole[:size]

    def fill(self) -> None:
        self.poll.register(0, select.POLLIN)
        while True:
            ready = [fd for fd, _ in self.poll.poll()]
            self.drain(ready)
            if 0 in ready:
                break
        self.poll.unregister(0)
        data = os.read(0, PIECE)
        if not data:
            os._exit(0)
        self.buffer += data

    def drain(self, ready: Iterable[int]) -> None:
        for fd in ready:
            if fd == self.wake:
                os.read(fd, PIECE)
            elif fd in self.left_over and not os.read(fd, PIECE):
                self.poll.unregister(fd)
                self.left_over.discard(fd)
                os.close(fd)

    # commands

    def run(self, command: bytes, seconds: float, keep: int) -> tuple[int, int, int, bytes]:
        output = Output(keep)
        try:
            pid, pipe = self.spawn(command)
        except OSError as error:
            return 126, 0, 0, b"cannot start a process: %s\n" % os.strerror(error.errno or 0).encode()
        status, timed_out, pipe_open = self.follow(pid, pipe, seconds, output)
        if timed_out:
            self.signal_group(pid, signal.SIGKILL)
        if pipe_open:
            self.leave(pipe, output)
        body, omitted = output.result()
        return 124 if timed_out else status, int(timed_out), omitted, body

    def spawn(self, command: bytes) -> tuple[int, int]:
        read_end, write_end = os.pipe()
        try:
            pid = os.fork()
        except OSError:
            os.close(read_end)
            os.close(write_end)
            raise
        if pid == 0:
            try:
                signal.set_wakeup_fd(-1)
                for number in (signal.SIGCHLD, signal.SIGPIPE, signal.SIGXFSZ):
                    signal.signal(number, signal.SIG_DFL)
                os.setsid()
                os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
                os.dup2(write_end, 1)
                os.dup2(write_end, 2)
                os.execve("/bin/sh", [b"sh", b"-c", command], self.environment)
            except (OSError, ValueError) as error:
                os.write(write_end, b"cannot run: %s\n" % str(error).encode())
            finally:
                os._exit(126)
        os.close(write_end)
        return pid, read_end

    def follow(self, pid: int, pipe: int, seconds: float, output: Output) -> tuple[int, bool, bool]:
        deadline = time.monotonic() + seconds
        signals = [signal.SIGKILL, signal.SIGTERM]
        timed_out = False
        pipe_open = True
        self.poll.register(pipe, select.POLLIN)
        while True:
            done, raw = os.waitpid(pid, os.WNOHANG)
            if done:
                break
            left = deadline - time.monotonic()
            if left <= 0 and signals:
                timed_out = True
                self.signal_group(pid, signals.pop())
                deadline = time.monotonic() + GRACE
                continue
            ready = [fd for fd, _ in self.poll.poll(max(left, 0) * 1000 + 1 if signals else None)]
            self.drain([fd for fd in ready if fd != pipe])
            if pipe in ready:
                data = os.read(pipe, PIECE)
                output.add(data)
                if not data:
                    self.poll.unregister(pipe)
                    os.close(pipe)
                    pipe_open = False
        if pipe_open:
            self.poll.unregister(pipe)
        status = os.WEXITSTATUS(raw) if os.WIFEXITED(raw) else 128 + os.WTERMSIG(raw)
        return status, timed_out, pipe_open

    def leave(self, pipe: int, output: Output) -> None:
        """Take what the command left in its pipe; whoever still holds the other end is read and thrown away later."""
        os.set_blocking(pipe, False)
        taken = 0
        while taken < 1024 * 1024:
            try:
                data = os.read(pipe, PIECE)
            except BlockingIOError:
                break
            if not data:
                os.close(pipe)
                return
            taken += len(data)
            output.add(data)
        os.set_blocking(pipe, True)
        self.left_over.add(pipe)
        self.poll.register(pipe, select.POLLIN)

    def signal_group(self, pid: int, number: int) -> None:
        try:
            os.killpg(pid, number)
        except OSError:
            return

    # files

    def guarded(self, act: Callable[..., bytes], path: bytes, argument: int | bytes) -> tuple[int, int, int, bytes]:
        try:
            return 0, 0, 0, act(path, argument)
        except (OSError, ValueError) as error:
            text = getattr(error, "strerror", None) or str(error)
            return 1, 0, 0, text.encode()

    def opened(self, path: bytes, flags: int) -> int:
        fd = os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY, 0o666)
        mode = os.fstat(fd).st_mode
        if not stat.S_ISREG(mode):
            os.close(fd)
            raise ValueError("Is a directory" if stat.S_ISDIR(mode) else "not a regular file")
        return fd

    def read(self, path: bytes, limit: int) -> bytes:
        with os.fdopen(self.opened(path, os.O_RDONLY), "rb", 0) as file:
            pieces = []
            while limit > 0:
                data = file.read(min(limit, 1024 * 1024))
                if not data:
                    break
                pieces.append(data)
                limit -= len(data)
            return b"".join(pieces)

    def put(self, path: bytes, content: bytes) -> bytes:
        parent = os.path.dirname(path)  # noqa: PTH120 (pathlib costs its import, and knows no bytes)
        if parent:
            os.makedirs(parent, exist_ok=True)  # noqa: PTH103
        fd = self.opened(path, os.O_WRONLY | os.O_CREAT)
        try:
            os.ftruncate(fd, 0)
            view = memoryview(content)
            while view:
                view = view[os.write(fd, view) :]
        finally:
            os.close(fd)
        return b""


if __name__ == "__main__":
    Agent().serve()
