"""What plain git shows of a landed commit: a model's words, and nothing that steers a terminal."""

import pytest

from runner.stages.land import TITLE, prose, subject


@pytest.mark.parametrize("title", ["\u202e", "\x1b\n\u2066", " "])
def test_a_commit_has_a_first_line_whatever_a_title_holds(title: str) -> None:
    """Without one its trailers could be taken for the title, and the task would never count as done."""
    assert subject(title) == "Untitled"
    assert subject(f"{title}Fix it\nReviewed-by: me") == "Fix it Reviewed-by: me"
    assert len(subject("x" * 1000)) == TITLE


def test_the_text_of_a_commit_moves_no_cursor() -> None:
    """`git log` hands it on as it is; line ends of another system are line ends."""
    assert prose("\x1b[2Jgone\r\n\tnext \u202etxt\x9b1m\n") == "\\x1b[2Jgone\n\tnext \\u202etxt\\x9b1m"
