"""What a model gets to read: bounded, safe, and honest about what is missing."""

import re

from hypothesis import given
from hypothesis import strategies as st

from runner.agent.outputs import capped, describe_binary, is_binary, readable


def test_a_short_text_stays_as_it_is() -> None:
    """Nothing is said where nothing is missing."""
    assert capped("a\nb", 100) == "a\nb"


@given(st.text(max_size=3000), st.integers(50, 800))
def test_head_tail_and_the_count_make_up_the_whole(text: str, limit: int) -> None:
    """Every byte is shown or counted."""
    text = text.replace("[... ", "")
    shown = capped(text, limit)
    found = re.search(r"\n\[\.\.\. (\d+) bytes left out \.\.\.\]\n", shown)
    if found is None:
        assert shown == text
        return
    head, tail = shown[: found.start()], shown[found.end() :]
    assert text.startswith(head) and text.endswith(tail)
    assert len((head + tail).encode()) + int(found.group(1)) == len(text.encode())
    assert len((head + tail).encode()) <= limit


def test_what_was_missing_before_is_counted_too() -> None:
    """The sandbox keeps head and tail as well; its count is added."""
    assert "[... 500 bytes left out ...]" in capped("a" * 40, 100, omitted=500)
    assert "[... 1400 bytes left out ...]" in capped("a" * 1000, 100, omitted=500)


def test_capping_twice_adds_up() -> None:
    """A result that is shortened later still says all that is missing."""
    once = capped("x" * 10_000, 1_000)
    twice = capped(once, 100)
    assert "[... 9900 bytes left out ...]" in twice


def test_control_characters_and_bad_bytes_are_shown() -> None:
    """Nothing that moves a cursor, and nothing lost."""
    assert readable(b"\x1b[31mred\xff\x00 \xe2\x80\xae") == "\\x1b[31mred\\xff\\x00 \\u202e"
    assert readable(b"10%\r20%\r\nend\n") == "10%\n20%\nend\n"
    assert readable(b"a\rb\r\n", lone_cr="\r") == "a\\x0db\n"


def test_a_binary_file_is_described() -> None:
    """Size and hash instead of noise."""
    assert is_binary(b"PNG\0\1")
    assert not is_binary("é\n".encode("latin-1"))
    assert describe_binary(b"\0").startswith("binary file, 1 bytes, sha256 6e340b9c")
