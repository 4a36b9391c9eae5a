"""What a check finds in one file: problems, and where each value stands."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from pipelines.nodes import Position
from pipelines.problems import Problem, Severity

Path = tuple[str | int, ...]  # keys and list places (from 0) that lead to a value

LATER: Final = "not in this version"


class _Bad:
    def __repr__(self) -> str:
        return "BAD"


BAD: Final = _Bad()


@dataclass
class Findings:
    """What a check has found so far, in one file: the problems, and where each value stands."""

    file: str
    problems: list[Problem] = field(default_factory=list)
    at: dict[Path, Position] = field(default_factory=dict)

    def add(self, at: Position, what: str, hint: str, severity: Severity = "error") -> None:
        self.problems.append(Problem(self.file, at[0], at[1], what, hint, severity))


def nearest(wrong: str, right: list[str]) -> str | None:
    """The name among `right` that was probably meant."""
    from difflib import get_close_matches  # only a file with mistakes pays for it

    found = get_close_matches(wrong.lower().replace("_", "-")[:60], right, n=1, cutoff=0.7)
    return found[0] if found else None


def name_of(path: Path) -> str:
    """How messages name the value at `path`: by its nearest key."""
    names = [part for part in path if isinstance(part, str)]
    return f"`{names[-1]}`" if names else "the file"
