"""Samples of several ways to do one thing, taken in turns: the order is shuffled in every round, the first is dropped.

A way does the thing once, checks the answer itself, and says how long each phase took. Only ratios of one run mean
something; absolute times belong to the machine.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

Phases = Mapping[str, float]  # seconds by name


class Wrong(Exception):
    """An answer is wrong: a fast wrong answer is no result."""


def check(holds: bool, what: object) -> None:
    """Raises Wrong unless `holds`."""
    if not holds:
        raise Wrong(str(what))


@dataclass(frozen=True)
class Way:
    """One way to do the thing."""

    name: str
    once: Callable[[], Phases]


@dataclass
class Watch:
    """Phases timed one after the other."""

    phases: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.phases[phase] = self.phases.get(phase, 0.0) + time.perf_counter() - began

    def total(self) -> Phases:
        """The phases and their sum."""
        return {**self.phases, "total": sum(self.phases.values())}


@dataclass(frozen=True)
class Row:
    """One phase of one way, in milliseconds; `ratio` to the base way's median of the same phase."""

    phase: str
    way: str
    n: int
    median: float
    p10: float
    p95: float
    ratio: float | None


def interleaved(ways: Sequence[Way], rounds: int) -> dict[str, list[Phases]]:
    """`rounds` samples of each way, and one before them that is thrown away."""
    samples: dict[str, list[Phases]] = {way.name: [] for way in ways}
    for number in range(rounds + 1):
        for way in random.sample(list(ways), len(ways)):
            phases = way.once()
            if number:
                samples[way.name].append(phases)
    return samples


def rows(samples: Mapping[str, Sequence[Phases]], base: str) -> list[Row]:
    """All phases in the order in which the ways name them, the ways of one phase beside each other."""
    found: list[Row] = []
    for phase in dict.fromkeys(phase for taken in samples.values() for phase in taken[0]):
        seconds = {way: sorted(each[phase] for each in taken if phase in each) for way, taken in samples.items()}
        unit = statistics.median(seconds[base]) if seconds.get(base) else None
        for way, values in seconds.items():
            if values:
                median = statistics.median(values)
                found.append(
                    Row(
                        phase,
                        way,
                        len(values),
                        round(median * 1000, 3),
                        round(_at(values, 0.1) * 1000, 3),
                        round(_at(values, 0.95) * 1000, 3),
                        round(median / unit, 3) if unit else None,
                    )
                )
    return found


def _at(ordered: Sequence[float], part: float) -> float:
    return ordered[min(len(ordered) - 1, round(part * (len(ordered) - 1)))]
