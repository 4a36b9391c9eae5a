"""How a person, a service manager or a closed terminal asks this process to stop: once to end well, twice at once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

ASKS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
AT_ONCE = 130


class Stop:
    """What was asked so far. Until `then` is set the first signal raises KeyboardInterrupt, after that it calls it."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.then: Callable[[], None] | None = None

    def _hear(self, _number: int, _frame: FrameType | None) -> None:
        if self.asked.is_set():
            os._exit(AT_ONCE)
        self.asked.set()
        if self.then is None:
            raise KeyboardInterrupt
        self.then()


@contextmanager
def stoppable() -> Iterator[Stop]:
    """Ctrl-C, SIGTERM and SIGHUP (unless `nohup` has it ignored) go to the Stop of this block."""
    stop = Stop()
    heard = [number for number in ASKS if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, stop._hear) for number in heard}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
