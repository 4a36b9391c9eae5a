"""What the ending tools say, as values, and the checks of it that a stage can put together.

A check takes the arguments of an ending tool and returns what is wrong, for the model to read, or None.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from runner.agent.turn import Check
from runner.codec import convert


@dataclass(frozen=True)
class SpecChange:
    """One change of a spec. `may_change` are gitignore patterns, `needs` titles of earlier changes; None: not said."""

    title: str
    body: str
    may_change: tuple[str, ...] = ()
    needs: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Spec:
    """What a planner ends with."""

    title: str
    body: str
    changes: tuple[SpecChange, ...]


@dataclass(frozen=True)
class Comment:
    """A reviewer's remark on a file, and a line of its new version where there is one. `severity` is a word of its own
    choice; the prompt offers blocker, major and minor.
    """

    path: str
    body: str
    line: int | None = None
    severity: str | None = None


@dataclass(frozen=True)
class Review:
    """What a reviewer ends with."""

    decision: Literal["approve", "request_changes"]
    summary: str
    comments: tuple[Comment, ...] = ()
    acknowledge: tuple[str, ...] = ()


@dataclass(frozen=True)
class Permit:
    """What a permission turn ends with; no paths means no."""

    paths: tuple[str, ...]
    reason: str


def spec_of(payload: Mapping[str, Any]) -> Spec:
    """The planner's spec. `needs` that name an earlier change by its number or id (`2`, `t1-2`) become its title."""
    spec = convert(payload, Spec)
    titles = [change.title for change in spec.changes]
    changes = tuple(
        change
        if change.needs is None
        else replace(change, needs=tuple(_title(name, titles[:n]) for name in change.needs))
        for n, change in enumerate(spec.changes)
    )
    return replace(spec, changes=changes)


def review_of(payload: Mapping[str, Any]) -> Review:
    """The reviewer's judgement, its paths relative to the tree."""
    review = convert(payload, Review)
    comments = tuple(
        Comment(tree_path(comment.path), comment.body, comment.line, comment.severity) for comment in review.comments
    )
    return Review(review.decision, review.summary, comments, tuple(tree_path(path) for path in review.acknowledge))


def permit_of(payload: Mapping[str, Any]) -> Permit:
    """The answer of a permission turn, its paths relative to the tree."""
    permit = convert(payload, Permit)
    return Permit(tuple(tree_path(path) for path in permit.paths), permit.reason)


def tree_path(path: str) -> str:
    """A path as models write it (`/work/a`, `./a`) as git does (`a`)."""
    return path.strip().removeprefix("/work/").removeprefix("./")


def _title(name: str, earlier: Sequence[str]) -> str:
    number = re.fullmatch(r"(?:.*-)?(\d{1,4})", name.strip())
    if name in earlier or number is None or not 1 <= int(number.group(1)) <= len(earlier):
        return name
    return earlier[int(number.group(1)) - 1]


def spec_check(max_changes: int, forbidden: Callable[[str], str | None]) -> Check:
    """At most `max_changes`, titles told apart, `needs` that name earlier ones, and patterns that may be granted.

    `forbidden(pattern)` says why a pattern of `may_change` cannot be granted by a model, or None.
    """

    def check(payload: Mapping[str, Any]) -> str | None:
        said = len(payload["changes"])
        if said > max_changes:
            return f"{said} changes, at most {max_changes} are allowed: join small ones"
        changes = spec_of(payload).changes
        problems: list[str] = []
        earlier: list[str] = []
        for number, change in enumerate(changes, start=1):
            problems += _problems(number, change, earlier, forbidden)
            earlier.append(change.title)
        return "; ".join(problems) or None

    return check


def review_check(to_acknowledge: Collection[str]) -> Check:
    """An approval acknowledges every changed protected file, and holds no comment that it calls a blocker."""

    def check(payload: Mapping[str, Any]) -> str | None:
        review = review_of(payload)
        if review.decision == "request_changes":
            return None
        blocker = next((comment for comment in review.comments if comment.severity == "blocker"), None)
        if blocker is not None:
            return f"the comment on {blocker.path} is a blocker: request changes, or call it minor"
        missing = sorted(set(to_acknowledge) - set(review.acknowledge))
        if missing:
            return (
                "an approval must acknowledge each changed protected file by its path, and these are missing from "
                f"`acknowledge`: {', '.join(missing)}. Look at the change of each; if one is wrong, request changes"
            )
        return None

    return check


def permit_check(asked: Sequence[str]) -> Check:
    """Only paths that were asked about can be permitted."""

    def check(payload: Mapping[str, Any]) -> str | None:
        other = sorted(set(permit_of(payload).paths) - set(asked))
        if other:
            return f"{', '.join(other)}: nobody asked about that; the paths are {', '.join(asked)}"
        return None

    return check


def _problems(
    number: int, change: SpecChange, earlier: Sequence[str], forbidden: Callable[[str], str | None]
) -> list[str]:
    found = []
    if change.title in earlier:
        found.append(f"changes[{number - 1}]: a change before has the same title")
    for needed in change.needs or ():
        if needed not in earlier:
            known = ", ".join(earlier) or "none, it is the first"
            found.append(f"changes[{number - 1}].needs: {needed!r} is no title of an earlier change ({known})")
    for pattern in change.may_change:
        why = forbidden(pattern)
        if why:
            found.append(f"changes[{number - 1}].may_change: {pattern}: {why}")
    return found
