"""Secrets do not get out, terminals are not steered, and ordinary text stays as it is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.redact import escape_terminal, known_secrets, mask, one_line

# Made up here, and put together at run time so that no scanner takes this file for a leak.
SHAPES = {
    "openai": "sk-" + "proj-" + "a1B2" * 8,
    "anthropic": "sk-" + "ant-api03-" + "Zx9_" * 8,
    "google": "AI" + "zaSy" + "A1b2C3d4" * 4,
    "github": "gh" + "p_" + "A1b2" * 9,
    "github fine": "github" + "_pat_" + "A1b2" * 9,
    "aws": "AK" + "IA" + "ABCD" * 4,
    "slack": "xo" + "xb-" + "1234567890-abc",
    "jwt": "eyJ" + "hbGciOiJIUzI1" + ".eyJ" + "zdWIiOiIxMjM0" + "." + "s5Xq-_" * 4,
    "gitlab": "gl" + "pat-" + "a1B2c3D4" * 3,
}


@pytest.mark.parametrize("name", SHAPES)
def test_what_has_the_shape_of_a_key_is_masked(name: str) -> None:
    """Also a key that relay never had in its environment."""
    assert mask(f"the key is {SHAPES[name]}, keep it") == "the key is ***, keep it"


@pytest.mark.parametrize("before", ["\x1b[31m", "\x1b[0m", "\x1b[m", "\\n", "\\x1b", "\\u202e", "'", "=", "\n"])
def test_a_colour_or_an_escape_in_front_does_not_hide_a_key(before: str) -> None:
    """A terminal's colour ends in a letter, and so does what a program prints of a line's end."""
    for key in SHAPES.values():
        assert mask(f"key:{before}{key}") == f"key:{before}***"


def test_a_private_key_is_masked_whole_even_when_its_end_is_cut_off() -> None:
    """PEM blocks of every kind, and the head of one at the end of a cut output."""
    for kind in ("", "RSA ", "OPENSSH ", "EC "):
        begin, end = f"-----BEGIN {kind}PRIVATE KEY-----", f"-----END {kind}PRIVATE KEY-----"
        assert mask(f"a\n{begin}\nMIIB\nxyz\n{end}\nb") == "a\n***\nb"
        assert mask(f"a\n{begin}\nMIIB\nxy") == "a\n***"
    assert "PUBLIC" in mask("-----BEGIN PUBLIC KEY-----\nabc\n-----END PUBLIC KEY-----")


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Authorization: Bearer abc.def", "Authorization: Bearer ***"),
        ("'authorization': 'Basic dXNlcjpwdw=='", "'authorization': 'Basic ***'"),
        ("x-api-key: 0123456789abcdef", "x-api-key: ***"),
        ("https://me:pw@example.com/simple", "https://***@example.com/simple"),
        ("postgres://app:p%40ss@db:5432/x", "postgres://***@db:5432/x"),
        ("aws_secret_access_key = wJalrXUtnFEMI/K7", "aws_secret_access_key = ***"),
    ],
)
def test_what_stands_before_a_secret_stays_readable(text: str, masked: str) -> None:
    """A reader sees which header or address it was."""
    assert mask(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "risk-free and task-management-of-the-whole-team",
        "https://example.com/a@b",
        "git@example.com:me/repo.git",
        "authorization: see RFC 9110",
        "a commit e83c5163316f89bfbde7d9ab23ca2e25604af290",
        "api-key-env: LOCAL",
    ],
)
def test_ordinary_text_is_not_masked(text: str) -> None:
    """A mask that hits words makes records useless."""
    assert mask(text) == text


@pytest.mark.parametrize(
    "begins", ["a.", "a-", "eyJ-", "0meyJ", "x:", "authorization: ", "-----BEGIN A ", "sk-", "0msk-"]
)
def test_a_long_text_that_begins_like_a_secret_everywhere_is_no_hang(begins: str) -> None:
    """Tools and tests print what a model likes: a megabyte of it is read once, not once from each beginning."""
    text = begins * (1024**2 // len(begins))
    assert mask(f"{text} https://me:pw@example.com/").endswith(" https://***@example.com/")


def test_a_token_with_an_unusually_long_header_is_masked_behind_it() -> None:
    """What opens a door is the payload with its signature."""
    header, rest = "eyJ" + "a1" * 1000, ".eyJ" + "b2" * 20 + "." + "c3" * 20
    assert mask(f"{header}{rest} x") == f"{header}.*** x"


def test_known_values_are_masked_wherever_they_stand_and_the_longest_first() -> None:
    """One secret that begins like another leaves no tail of it."""
    assert mask("x=secret-value-long; y=secret-value", ("secret-value", "secret-value-long")) == "x=***; y=***"


def test_a_short_value_is_no_secret() -> None:
    """`TOKEN=1` must not turn every 1 of a log into stars."""
    assert mask("1 of 1", ("1",)) == "1 of 1"
    assert known_secrets({"TOKEN": "1", "MY_API_KEY": "abcdefgh", "HOME": "/home/someone"}) == ("abcdefgh",)
    assert known_secrets({"OURS": "/9j/4AAQ", "SSL_KEY": "/etc/ssl/key.pem"}, ["OURS"]) == ("/9j/4AAQ",)


@given(st.text(), st.lists(st.text(min_size=8), max_size=3))
def test_masking_twice_is_masking_once(text: str, secrets: list[str]) -> None:
    """Records are masked again on their way to a page, and must stay the same there."""
    secrets = [secret for secret in secrets if "*" not in secret]
    once = mask(text, secrets)
    assert mask(once, secrets) == once


@given(st.text(alphabet=st.characters()))
def test_nothing_that_steers_a_terminal_is_left(text: str) -> None:
    """Whatever a model prints, what remains is printable, a newline or a tab."""
    shown = escape_terminal(text)
    assert not any(ord(c) < 32 and c not in "\n\t" for c in shown)
    assert not any(0x7F <= ord(c) <= 0x9F or c in "\u061c\u200e\u200f\u2028\u2029" for c in shown)
    assert not any(0x202A <= ord(c) <= 0x202E or 0x2066 <= ord(c) <= 0x2069 for c in shown)
    shown.encode()


@given(st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126)))
def test_plain_text_is_shown_as_it_is(text: str) -> None:
    """Escaping changes nothing that was harmless."""
    assert escape_terminal(text + "\n\täöü漢字🙂") == text + "\n\täöü漢字🙂"


def test_escapes_are_visible() -> None:
    """A reader sees what was there."""
    assert escape_terminal("\x1b[2J\r\u202egpj\u202c\x9b1m\ud800") == "\\x1b[2J\\x0d\\u202egpj\\u202c\\x9b1m\\ud800"


def test_one_line_is_one_line_and_not_too_long() -> None:
    """For tables: white space folded, cut with an ellipsis."""
    assert one_line("a\n b\t\x1bc") == "a b \\x1bc"
    assert one_line("x" * 300, 10) == "x" * 9 + "…"
