"""A door that lets work in until it is shut: what is inside is waited for, what comes later is refused."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sandbox.base import SandboxError

_WAIT = 3.0  # seconds for what is inside


class Door:
    """Shared by all threads of a process."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside = 0
        self._is_shut = False

    @contextmanager
    def passed(self) -> Iterator[None]:
        """Be inside for the block. Raises SandboxError once the door is shut."""
        with self._changed:
            if self._is_shut:
                raise SandboxError("no container is made any more: relay is ending")
            self._inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                self._changed.notify_all()

    def shut(self) -> None:
        """Let nothing in any more, and wait a little for what is inside; safe to call twice."""
        with self._changed:
            self._is_shut = True
            self._changed.wait_for(lambda: not self._inside, _WAIT)
