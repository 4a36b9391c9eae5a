"""What is wrong with a pipeline file, where, and what to do. Printed as `file:line:col: what: what to do`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning"]
LONGEST_SHOWN = 60


@dataclass(frozen=True)
class Problem:
    """One mistake or warning. Lines and columns count from 1, columns in characters."""

    file: str
    line: int
    column: int
    what: str
    hint: str
    severity: Severity = "error"

    def __str__(self) -> str:
        mark = "warning: " if self.severity == "warning" else ""
        return f"{printable(self.file)}:{self.line}:{self.column}: {mark}{self.what}: {self.hint}"


class PipelineError(Exception):
    """The pipeline file, or a file that it names, cannot be used. The text is one line for each problem."""

    exit_code = 2

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


def in_order(problems: Iterable[Problem], *, first: str) -> tuple[Problem, ...]:
    """Each problem once, by position; those of the file `first` before those of the files that it names."""
    return tuple(sorted(set(problems), key=lambda p: (p.file != first, p.file, p.line, p.column, p.what)))


def printable(text: str) -> str:
    """`text` with everything that could steer a terminal written as an escape."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def shown(text: str) -> str:
    """`text` as a message quotes it: printable, short, in backquotes."""
    cut = text if len(text) <= LONGEST_SHOWN else text[: LONGEST_SHOWN - 3] + "..."
    return f"`{printable(cut)}`"
