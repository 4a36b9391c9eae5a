"""Asking again: what is retried, how long is waited, and that a wait can be left at once."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.models.base import ErrorKind, ModelError, Place, Reply
from runner.models.retry import Cancelled, Policy, ask_with_retry, delay

PATIENT = Policy()
REPLY = Reply("ok", (), "end", "", None, None, "x/y")


class Model:
    """Fails as told, then answers."""

    name, context_window, max_output = "x/y", 1, 1

    def __init__(self, *errors: ModelError) -> None:
        self.errors, self.asked = list(errors), 0

    def ask(self, *_: object, **__: object) -> Reply:
        self.asked += 1
        if self.errors:
            raise self.errors.pop(0)
        return REPLY


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.slept = list[float]()

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


def run(model: Model, clock: Clock, policy: Policy = PATIENT) -> Reply:
    return ask_with_retry(
        model, "", [], [], max_tokens=1, place=Place("r"), policy=policy, sleep=clock.sleep, random=lambda: 0.5
    )


@pytest.mark.parametrize("kind", ["rate", "overload", "server", "network"])
def test_what_may_pass_is_asked_again(kind: ErrorKind) -> None:
    """Waits grow."""
    model, clock = Model(*[ModelError(kind, "no")] * 3), Clock()
    assert run(model, clock) is REPLY
    assert clock.slept == [1.5, 3.0, 6.0]
    assert model.asked == 4


@pytest.mark.parametrize("kind", ["quota", "auth", "context", "request", "unknown_model"])
def test_what_cannot_pass_is_never_asked_again(kind: ErrorKind) -> None:
    """No money and no time for a wrong key."""
    model = Model(ModelError(kind, "no"))
    with pytest.raises(ModelError):
        run(model, Clock())
    assert model.asked == 1


def test_retry_after_is_a_floor() -> None:
    """A retry before the vendor's time lands in the same window."""
    clock = Clock()
    run(Model(ModelError("rate", "no", retry_after=20.0)), clock)
    assert 20.0 <= clock.slept[0] <= 22.0


def test_attempts_and_waiting_are_bounded() -> None:
    """A wait that would break the bound is not begun; the vendor's last word is what is raised."""
    model, clock = Model(*[ModelError("server", str(n)) for n in range(9)]), Clock()
    with pytest.raises(ModelError, match=r"2 \(given up: asked 3 times\)"):
        run(model, clock, Policy(attempts=3))
    assert model.asked == 3
    model, clock = Model(ModelError("rate", "five hours", retry_after=18_000.0)), Clock()
    with pytest.raises(ModelError, match=r"five hours \(given up: asked 1 time, and to wait 18001 s more is longer"):
        run(model, clock)
    assert clock.slept == []


def test_a_wait_is_left_as_soon_as_the_run_is_cancelled() -> None:
    """Ctrl-C does not wait for a vendor's hour."""
    cancelled = threading.Event()
    model = Model(ModelError("rate", "later", retry_after=3000.0))
    with pytest.raises(Cancelled):
        ask_with_retry(
            model, "", [], [], max_tokens=1, place=Place("r"), cancelled=cancelled, on_wait=lambda *_: cancelled.set()
        )
    assert model.asked == 1


def test_an_answer_under_way_is_abandoned_when_the_run_is_cancelled() -> None:
    """A thread that reads from a socket cannot be woken, so it is left behind."""
    cancelled, release = threading.Event(), threading.Event()

    class Slow(Model):
        def ask(self, *_: object, **__: object) -> Reply:
            cancelled.set()
            release.wait()
            return REPLY

    with pytest.raises(Cancelled):
        ask_with_retry(Slow(), "", [], [], max_tokens=1, place=Place("r"), cancelled=cancelled)
    release.set()


@given(st.integers(1, 40), st.none() | st.floats(0, 3000), st.floats(0, 1, exclude_max=True))
def test_a_wait_is_never_shorter_than_asked_for_nor_than_half_its_ceiling(
    number: int, asked: float | None, drawn: float
) -> None:
    """Jitter spreads clients, and never turns backoff into none."""
    policy = Policy()
    ceiling = min(policy.ceiling, policy.base * 2 ** (number - 1))
    wait = delay(policy, number, asked, lambda: drawn)
    assert wait >= (ceiling / 2 if asked is None else asked)
    assert wait <= (ceiling if asked is None else asked * 1.1 + 0.001)
