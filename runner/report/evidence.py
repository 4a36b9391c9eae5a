"""What a gate's record keeps beside its verdict, brought to the size of a page: tests by name, and the log's ends."""

from __future__ import annotations

from dataclasses import dataclass

from runner.agent.outputs import capped
from runner.codec import CodecError, decode
from runner.git.repo import Repository
from runner.journals import Entry, read_file


@dataclass(frozen=True)
class Failing:
    """A test that does not pass, and what it said."""

    test: str
    message: str = ""


@dataclass(frozen=True)
class TestsSeen:
    """The tests that a verdict names. `weak` says why a pass proves little."""

    __test__ = False  # not a test of pytest

    failing: tuple[Failing, ...] = ()
    missing: tuple[str, ...] = ()
    newly_skipped: tuple[str, ...] = ()
    uncollected: tuple[Failing, ...] = ()
    new_tests: tuple[str, ...] = ()
    fail_to_pass: tuple[str, ...] = ()
    left_contract: tuple[str, ...] = ()
    weak: str | None = None


def tests_seen(repository: Repository, entry: Entry) -> TestsSeen:
    """The tests that the verdict beside a gate's record names; empty where it is missing or of another shape."""
    content = read_file(repository, entry, "verdict")
    try:
        return decode(content, TestsSeen) if content else TestsSeen()
    except CodecError:
        return TestsSeen()


def log_of(repository: Repository, entry: Entry, limit: int) -> str:
    """The log beside a gate's record: its head and tail within about `limit` bytes, saying how much was left out."""
    content = read_file(repository, entry, "log")
    return capped(content.decode(errors="backslashreplace"), limit).strip("\n") if content else ""
