"""Waiting for a call that may never come back, without waiting longer than one wants to."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")
E = TypeVar("E")

POLL = 0.05  # seconds between two looks at the clock and at the wish to stop


class _Worker(Generic[T]):
    """A call on a thread of its own; a daemon, so that a call nobody waits for cannot hold the process."""

    def __init__(self, call: Callable[[], T]) -> None:
        self._call = call
        self._result: list[T] = []
        self._error: BaseException | None = None
        self.finished = threading.Event()
        threading.Thread(target=self._run, name="relay-call", daemon=True).start()

    def result(self) -> T:
        if self._error is not None:
            raise self._error
        return self._result[0]

    def _run(self) -> None:
        try:
            self._result.append(self._call())
        except BaseException as error:  # noqa: BLE001 raised again, in the thread that waits
            self._error = error
        finally:
            self.finished.set()


def wait_for(call: Callable[[], T], give_up: Callable[[], E | None]) -> T | E:
    """The call's result, or what `give_up` says first when it says anything. Raises what the call raises.

    A call that is given up goes on by itself; whoever made it must be able to end it (by closing the sandbox, say).
    """
    worker = _Worker(call)
    while not worker.finished.wait(POLL):
        reason = give_up()
        if reason is not None:
            return reason
    return worker.result()
