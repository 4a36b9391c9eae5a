"""How long a turn may still go on: its timeout, its idle time, the run's time, and the user's wish to stop."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from runner.agent.ledger import Ledger
from runner.outcomes import TurnEnd

STOPPED = "stopped by the user"


@dataclass(frozen=True)
class Late:
    """Why the turn must end now."""

    end: TurnEnd
    detail: str


class Patience:
    """The clock of one session of a turn. Times are seconds."""

    def __init__(
        self,
        *,
        timeout: float,
        idle_timeout: float,
        before: float,
        ledger: Ledger,
        now: Callable[[], float],
        cancelled: Callable[[], bool],
    ) -> None:
        """`before` is how long earlier sessions of the turn took."""
        self._timeout, self._idle_timeout, self._ledger = timeout, idle_timeout, ledger
        self._now, self._cancelled = now, cancelled
        self._start = now() - before
        self._heard = now()
        self._doing = ""

    def begin(self, what: str) -> None:
        """Say what is waited for from now on."""
        self._doing = what

    def heard(self) -> None:
        """A reply, a piece of one, or a result came."""
        self._heard = self._now()

    def excuse(self, seconds: float) -> None:
        """A vendor asked for patience: that is neither idle nor time of the turn."""
        self._start += seconds
        self._heard += seconds

    def elapsed(self) -> float:
        """How long the turn has taken, over all its sessions."""
        return self._now() - self._start

    def left(self) -> float:
        """How long the turn and the run may still go on."""
        left = self._ledger.time_left()
        return min(self._timeout - self.elapsed(), math.inf if left is None else left)

    def late(self, grace: float = 0.0) -> Late | None:
        """Why the turn must end now, if it must. `grace` is added to its timeout only."""
        if self._cancelled():
            return Late("cancelled", STOPPED)
        if self.elapsed() > self._timeout + grace:
            return Late("timeout", f"the turn took longer than {self._timeout:.0f} s")
        if self._now() - self._heard > self._idle_timeout:
            return Late("idle", f"no reply and no tool result for {self._idle_timeout:.0f} s, {self._doing}")
        if self._ledger.time_left() == 0:
            return Late("budget", f"max-time is reached: the run has been going for {self._ledger.running():.0f} s")
        return None
