"""A socket in front of the engine's own: it can be cut, fall silent, or be cut by itself at a certain request."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from pathlib import Path

ENGINE = "/var/run/docker.sock"


class Wire:
    """Carries bytes both ways until it is cut. `last`: how many times the client may send before the wire is dead."""

    def __init__(self, path: Path, *, last: int | None = None) -> None:
        self.address = f"unix://{path}"
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._open: list[socket.socket] = []
        self._left = last
        self._lock = threading.Lock()
        self._silent = threading.Event()
        self._ended = threading.Event()
        self._threads = [self._thread(self._accept)]

    def silence(self) -> None:
        """From now on nothing is answered, and nothing is refused."""
        self._silent.set()

    def close(self) -> None:
        """Cut, and wait until nothing of it runs."""
        self.cut()
        for thread in self._threads:
            thread.join()
        for each in (self._listener, *self._open):
            each.close()

    def cut(self) -> None:
        """The engine is gone, as its clients see it."""
        self._ended.set()
        with self._lock:
            for each in (self._listener, *self._open):
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

    def _thread(self, call: Callable[..., None], *args: object) -> threading.Thread:
        thread = threading.Thread(target=call, args=args)
        thread.start()
        return thread

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.socket(socket.AF_UNIX)
            far.connect(ENGINE)
            with self._lock:
                self._open += [near, far]
            if self._ended.is_set():
                self.cut()
            self._threads += [self._thread(self._carry, near, far, True), self._thread(self._carry, far, near, False)]

    def _carry(self, source: socket.socket, target: socket.socket, outward: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if outward and self._is_over():
                    self.cut()
                if self._silent.is_set():
                    self._ended.wait()
                target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)

    def _is_over(self) -> bool:
        with self._lock:
            if self._left is None:
                return False
            self._left -= 1
            return self._left < 0
