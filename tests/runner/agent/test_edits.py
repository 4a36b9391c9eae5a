"""Exact replacement: once or not at all, and never twice after an interruption."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from runner.agent.edits import replace_once

TEXT = st.text(alphabet="ab\n ", max_size=30)


def test_the_only_place_is_replaced() -> None:
    """Everything else stays."""
    assert replace_once("a\nb\nc\n", "b", "x\ny").content == "a\nx\ny\nc\n"


@pytest.mark.parametrize(
    ("content", "old", "told"),
    [
        ("x = 1\ny = 1\nx = 1\n", "x = 1", "occurs 2 times, at lines 1, 3"),
        ("def total(items):\n    return 0\n", "def totals(item):", "The nearest lines are:\n1\tdef total(items):"),
        ("if a:\n\treturn 1\n", "if a:\n    return 1", "at line 1 it stands with other white space"),
        ("a\r\nb\r\n", "a\nb", "CR LF"),
        ("a", "", "old is empty"),
        ("zzz\n", "qqqqqqqqqqqqqqqqqq", "copy the text exactly"),
        ("a", "\n\n", "copy the text exactly"),
    ],
)
def test_what_cannot_be_replaced_is_explained(content: str, old: str, told: str) -> None:
    """The count, and where the text nearly stands."""
    assert told in (replace_once(content, old, "new").error or "")


def test_an_edit_to_the_same_text_is_refused() -> None:
    """Nothing would change."""
    assert "the same" in (replace_once("a", "a", "a").error or "")


@given(TEXT, st.text(alphabet="xy", min_size=1, max_size=4), st.text(alphabet="xy", max_size=12), TEXT)
def test_an_edit_that_was_done_is_never_done_twice(before: str, old: str, new: str, after: str) -> None:
    """Whatever the two texts have in common: `again` on the result leaves it as it is."""
    assume(old != new)
    first = replace_once(before + old + after, old, new)
    assert first.content == before + new + after
    again = replace_once(first.content, old, new, again=True)
    assert (again.content, again.was_applied) == (first.content, True)


@given(st.integers(1, 40), TEXT)
def test_an_edit_that_adds_a_line_is_safe_to_repeat(lines: int, added: str) -> None:
    """The commonest edit, whose `new` holds its `old`."""
    content = "".join(f"line {n}\n" for n in range(100, 100 + lines))
    first = replace_once(content, "line 100\n", f"line 100\nnew {added}\n")
    again = replace_once(first.content, "line 100\n", f"line 100\nnew {added}\n", again=True)
    assert (again.content, again.was_applied) == (first.content, True)
