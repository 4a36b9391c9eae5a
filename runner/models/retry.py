"""Asking again: one loop for all vendors, so that budget, log and Retry-After are the same everywhere.

Waits grow as ceilings 2^n with jitter in their upper half ("equal jitter", AWS Architecture Blog, "Exponential Backoff
And Jitter"): full jitter may draw nearly nothing, or less than the wait before, which servers read as no backoff.
"""

from __future__ import annotations

import random as _random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from runner.models.base import Entry, Model, ModelError, Place, Reply, Tool


@dataclass(frozen=True)
class Policy:
    """How patient to be. Times in seconds; `max_wait` bounds all waits of one call together."""

    attempts: int = 10
    base: float = 2.0
    ceiling: float = 120.0
    max_wait: float = 3600.0


class Cancelled(Exception):
    """The caller's `cancelled` was set while waiting for a model."""


class Event(Protocol):
    """What is needed of a threading.Event."""

    def is_set(self) -> bool: ...
    def wait(self, timeout: float | None = None) -> bool: ...


def ask_with_retry(
    model: Model,
    system: str,
    history: Sequence[Entry],
    tools: Sequence[Tool],
    *,
    max_tokens: int,
    place: Place,
    policy: Policy = Policy(),
    sleep: Callable[[float], object] | None = None,
    random: Callable[[], float] = _random.random,
    on_wait: Callable[[float, str], None] | None = None,
    cancelled: Event | None = None,
) -> Reply:
    """The reply, after as many attempts as the policy allows.

    Only what may pass is tried again (`rate overload server network`). A wait is never shorter than the vendor asked
    for; one that would break `max_wait` is not begun. `on_wait(seconds, why)` is told before each wait. With
    `cancelled`, an answer that is still under way is abandoned within a quarter of a second of its being set.

    Raises the last attempt's ModelError, and where it might have passed why relay gave up; Cancelled. `sleep` defaults
    to waiting for `cancelled`, else time.sleep.
    """
    pause = sleep or (cancelled.wait if cancelled else time.sleep)
    waited, number = 0.0, 0
    while True:
        number += 1
        _check(cancelled)
        try:
            return _interruptible(
                lambda: model.ask(system, history, tools, max_tokens=max_tokens, place=place), cancelled
            )
        except ModelError as error:
            if not error.retryable:
                raise
            wait = delay(policy, number, error.retry_after, random)
            if number >= policy.attempts or waited + wait > policy.max_wait:
                raise _given_up(error, number, wait, policy) from error
            if on_wait:
                on_wait(wait, str(error))
        pause(wait)
        waited += wait


def delay(policy: Policy, number: int, asked: float | None, random: Callable[[], float]) -> float:
    """Seconds to wait after attempt `number` (from 1). What the vendor asked for is a floor, with a little jitter."""
    ceiling = min(policy.ceiling, policy.base * 2.0 ** min(number - 1, 30))
    if asked is not None:
        return asked + random() * min(ceiling, asked * 0.1)
    return ceiling / 2 + random() * ceiling / 2


def _given_up(error: ModelError, number: int, wait: float, policy: Policy) -> ModelError:
    tries = f"asked {number} {'time' if number == 1 else 'times'}"
    why = tries if number >= policy.attempts else f"{tries}, and to wait {wait:.0f} s more is longer than relay waits"
    return ModelError(
        error.kind,
        f"{error} (given up: {why})",
        retry_after=error.retry_after,
        status=error.status,
        request_id=error.request_id,
        reached=error.reached,
    )


def _check(cancelled: Event | None) -> None:
    if cancelled is not None and cancelled.is_set():
        raise Cancelled("cancelled while waiting for a model")


def _interruptible(call: Callable[[], Reply], cancelled: Event | None) -> Reply:
    """Runs `call` in a thread, since nothing wakes a thread that reads from a socket; left behind when cancelled."""
    if cancelled is None:
        return call()
    replies: list[Reply] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            replies.append(call())
        except BaseException as error:  # noqa: BLE001 (raised again, in the caller's thread)
            errors.append(error)

    thread = threading.Thread(target=run, name="model call", daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(0.25)
        if thread.is_alive():
            _check(cancelled)
    if errors:
        raise errors[0]
    return replies[0]
