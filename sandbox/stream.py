"""One hijacked connection to the engine: bytes in, multiplexed frames out (Docker Engine API, `ContainerAttach`)."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_READ = 256 * 1024


@dataclass(frozen=True)
class Chunk:
    """A piece of what a process wrote. `stderr` tells which of its two outputs."""

    stderr: bool
    data: bytes


class Stream:
    """An attached connection. Blocking reads with a limit, no thread, no polling.

    `early` is what the HTTP client had read past the headers; `release` gives the connection back.
    """

    def __init__(self, connection: socket.socket, early: bytes, release: Callable[[], None]) -> None:
        self._connection = connection
        self._buffer = early
        self._release = release
        self._left = 0
        self._stderr = False

    def send(self, data: bytes, *, wait: float) -> None:
        """Write all of `data` to the process. Raises TimeoutError after `wait` seconds, OSError when it is gone."""
        self._connection.settimeout(max(wait, 0.001))
        self._connection.sendall(data)

    def chunk(self, *, wait: float) -> Chunk | None:
        """The next piece of output, None at the end. Raises TimeoutError when none comes within `wait` seconds."""
        self._connection.settimeout(max(wait, 0.001))
        while self._left == 0:
            while len(self._buffer) < 8:
                if not self._fill():
                    return None
            self._stderr = self._buffer[0] == 2
            self._left = int.from_bytes(self._buffer[4:8], "big")
            self._buffer = self._buffer[8:]
        if not self._buffer and not self._fill():
            return None
        data, self._buffer = self._buffer[: self._left], self._buffer[self._left :]
        self._left -= len(data)
        return Chunk(self._stderr, data)

    def close(self) -> None:
        """Give the connection back; safe to call twice."""
        self._release()

    def _fill(self) -> bool:
        try:
            data = self._connection.recv(_READ)
        except (ConnectionError, BrokenPipeError):
            return False
        self._buffer += data
        return bool(data)


def hijacked(opened: Any) -> Stream:
    """The stream in what the SDK returns for `socket=True`.

    The HTTP client may have read past the headers: what it holds comes first.
    """
    connection: socket.socket = opened._sock
    response = opened._response
    connection.setblocking(False)
    buffered = response.raw._fp.fp
    held = len(buffered.peek())
    early = bytes(buffered.read1(held)) if held else b""

    def release() -> None:
        if not opened.closed:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            response.close()
            opened.close()

    return Stream(connection, early, release)
