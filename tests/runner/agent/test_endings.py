"""What planners, reviewers and permission turns may end with."""

from typing import Any

import pytest

from runner.agent.endings import (
    Comment,
    Review,
    permit_check,
    permit_of,
    review_check,
    review_of,
    spec_check,
    spec_of,
)


def spec(*changes: dict[str, Any]) -> dict[str, Any]:
    return {"title": "t", "body": "b", "changes": [{"body": "b"} | change for change in changes]}


@pytest.mark.parametrize(
    ("payload", "told"),
    [
        (spec({"title": "a"}), None),
        (spec({"title": "a"}, {"title": "b", "needs": ["a"]}), None),
        (spec({"title": "a"}, {"title": "b", "needs": []}), None),
        (spec({"title": "a"}, {"title": "b"}, {"title": "c"}), "3 changes, at most 2"),
        (spec({"title": "a"}, {"title": "a"}), "changes[1]: a change before has the same title"),
        (spec({"title": "a", "needs": ["b"]}, {"title": "b"}), "'b' is no title of an earlier change (none"),
        (spec({"title": "a", "may_change": ["Makefile"]}), "changes[0].may_change: Makefile: only the user"),
        (spec({"title": "a", "may_change": ["tests/test_a.py"]}), None),
    ],
)
def test_a_spec_is_held_to_its_limits(payload: dict[str, Any], told: str | None) -> None:
    """Number of changes, `needs`, and what a model cannot grant."""
    said = spec_check(2, lambda pattern: "only the user" if pattern == "Makefile" else None)(payload)
    assert (said is None) if told is None else (told in (said or ""))


def test_a_flood_of_changes_is_told_in_one_sentence() -> None:
    """Not in one sentence for each of them that lists all the others."""
    flood = spec(*({"title": f"change {n}", "needs": ["nobody"]} for n in range(100_000)))
    assert spec_check(8, lambda _: "no")(flood) == "100000 changes, at most 8 are allowed: join small ones"


def test_needs_may_name_a_change_by_its_number_or_id() -> None:
    """Planners count, and relay's own ids end in the number; what is no earlier change stays as it was said."""
    found = spec_of(spec({"title": "a"}, {"title": "b", "needs": ["1", "t7-1", "a", "2", "x"]}))
    assert found.changes[1].needs == ("a", "a", "a", "2", "x")


def test_needs_that_were_not_given_are_told_from_none() -> None:
    """Left out means the one before; an empty list means nothing."""
    found = spec_of(spec({"title": "a"}, {"title": "b", "needs": []}))
    assert [change.needs for change in found.changes] == [None, ()]


REVIEW: dict[str, Any] = {"decision": "approve", "summary": "s"}


def comment(**more: Any) -> dict[str, Any]:
    return {"path": "a", "body": "b"} | more


@pytest.mark.parametrize(
    ("payload", "told"),
    [
        (REVIEW | {"acknowledge": ["tests/a", "/work/b"]}, None),
        (REVIEW | {"acknowledge": ["./tests/a"]}, "missing from `acknowledge`: b"),
        (REVIEW, "b, tests/a"),
        (REVIEW | {"decision": "request_changes"}, None),
        (REVIEW | {"acknowledge": ["tests/a", "b"], "comments": [comment(severity="nit")]}, None),
        (REVIEW | {"decision": "request_changes", "comments": [comment()]}, None),
        (
            REVIEW | {"acknowledge": ["tests/a", "b"], "comments": [comment(severity="blocker")]},
            "comment on a is a blocker",
        ),
    ],
)
def test_a_review_says_what_its_decision_needs(payload: dict[str, Any], told: str | None) -> None:
    """An approval lacks no acknowledgement and holds no blocker; a no says what to fix."""
    said = review_check({"tests/a", "b"})(payload)
    assert (said is None) if told is None else (told in (said or ""))


def test_a_review_is_read_with_the_paths_of_the_tree() -> None:
    """Models write `/work/a`; records say `a`."""
    payload = REVIEW | {"comments": [comment(path="/work/src/a.py", line=3, severity="minor")], "acknowledge": ["./t"]}
    assert review_of(payload) == Review("approve", "s", (Comment("src/a.py", "b", 3, "minor"),), ("t",))


def test_only_what_was_asked_can_be_permitted() -> None:
    """And nothing at all is a no."""
    check = permit_check(["tests/a"])
    assert check({"paths": ["/work/tests/a"], "reason": "r"}) is None
    assert check({"paths": [], "reason": "r"}) is None
    assert "Makefile: nobody asked" in (check({"paths": ["Makefile"], "reason": "r"}) or "")
    assert permit_of({"paths": ["/work/tests/a"], "reason": "r"}).paths == ("tests/a",)
