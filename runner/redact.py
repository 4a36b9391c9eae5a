"""What must not be shown: secrets are masked, control characters of untrusted text are escaped. One door for all views.

`mask` works on known values first and then on the published shapes of keys, so that a key which relay never saw in its
environment (a model printed a file) is masked too.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from functools import cache
from typing import Any

MASK = "***"
_SHORTEST = 8  # a shorter "secret" would mask ordinary words

# Compiled when first used: most commands need none of them, and compiling takes longer than those commands.
_SECRET_NAME = r"(API_?KEY|_KEY$|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL)"


# The edge in front keeps `task-1` and `risk-free` what they are. In the pattern it stands behind the letters that every
# key of the kind begins with, which are found fast. The last letter of a colour (`ESC [31m`) and of an escape that a
# program printed (`\n`, `\x1b`) are edges too.
def _key(begins: str, goes_on: str, inside: str = r"\w") -> str:
    edges = (rf"(?<![{inside}]{begins})", rf"(?<=[\d;\[]m{begins})", rf"(?<=\\[abfnrtv0]{begins})")
    codes = (rf"(?<=\\x[0-9a-fA-F]{{2}}{begins})", rf"(?<=\\u[0-9a-fA-F]{{4}}{begins})")
    return begins + "(?:" + "|".join((*edges, *codes)) + ")" + goes_on


_SHAPES = (
    _key("sk-", r"[A-Za-z0-9_-]{16,}", r"\w-"),  # OpenAI, Anthropic (sk-ant-), OpenRouter and others
    _key("AIza", r"[A-Za-z0-9_-]{30,}", r"\w-"),  # Google API keys
    _key("ya29", r"\.[A-Za-z0-9_-]{20,}", r"\w-"),  # Google OAuth
    _key("gh", r"[pousr]_[A-Za-z0-9]{20,}"),  # GitHub
    _key("github_pat_", r"[A-Za-z0-9_]{20,}"),
    _key("glpat-", r"[A-Za-z0-9_-]{20,}"),  # GitLab
    _key("xox", r"[abeprs]-[A-Za-z0-9-]{10,}"),  # Slack
    _key("A[KS]IA", r"[A-Z0-9]{16}(?!\w)"),  # AWS access key ids
    _key("hf_", r"[A-Za-z0-9]{30,}"),  # Hugging Face
    _key("pypi-", r"[A-Za-z0-9_-]{50,}"),
    _key("npm_", r"[A-Za-z0-9]{36}(?!\w)"),
    # JSON Web Tokens (RFC 7519). A longer header stays, and what stands behind it is masked below.
    _key("eyJ", r"[A-Za-z0-9_-]{10,400}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}", r"\w-"),
    r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----[\s\S]*?(?:-----END [A-Z0-9 ]*-----|\Z)",  # RFC 7468
)
# What stands before the secret is kept, so that a reader sees what was masked. Where that can be long the pattern
# begins behind it: a text that is all beginnings (`a.a.a.`) would be read to its end from each of them.
_LABELLED = (
    r"(?P<keep>\b(?:proxy-)?authorization[\"']?\s*[:=]\s*[\"']?(?:basic|bearer|token|digest)\s+)[^\s\"',;]+",
    r"(?P<keep>\b(?:x-api-key|x-goog-api-key|api-key)[\"']?\s*[:=]\s*[\"']?)[^\s\"',;]{8,}",
    r"(?P<keep>\baws_secret_access_key[\"']?\s*[:=]\s*[\"']?)[^\s\"',;]+",
    r"(?P<keep>(?<=[a-z0-9+.-])://)[^\s/?#\"'<>@]+(?=@)",  # userinfo of a URL (RFC 3986, 3.2.1)
    r"(?P<keep>(?<=[a-z0-9_-])\.)eyJ[a-z0-9_-]{10,}\.[a-z0-9_-]{10,}",  # JSON Web Tokens (RFC 7519) behind the header
)

# C0 but newline and tab, DEL, C1; the bidi controls and marks of UAX 9; U+2028/2029, which end a line for a terminal.
_UNSAFE = r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"


def mask(text: str, secrets: Collection[str] = ()) -> str:
    """`text` with every known secret, and everything that has the shape of one, replaced by `***`.

    Values shorter than 8 characters are not taken for secrets. Masking a masked text changes nothing.
    """
    for secret in sorted({each for each in secrets if len(each) >= _SHORTEST}, key=len, reverse=True):
        text = text.replace(secret, MASK)
    for shape in _SHAPES:
        text = _compiled(shape).sub(MASK, text)
    for shape in _LABELLED:
        text = _compiled(shape, re.IGNORECASE).sub(lambda found: found["keep"] + MASK, text)
    return text


def mask_values(value: Any, secrets: Collection[str] = ()) -> Any:
    """A value of dicts, lists, strings and numbers with every string in it masked, however deep, keys included.

    Mask values, never the JSON that is made of them: a mask that ends at a backslash or a quote would break it.
    """
    if isinstance(value, str):
        return mask(value, secrets)
    if isinstance(value, bytes):
        return mask(value.decode(errors="backslashreplace"), secrets)
    if isinstance(value, Mapping):
        return {mask_values(key, secrets): mask_values(each, secrets) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [mask_values(each, secrets) for each in value]
    return value if isinstance(value, int | float | None) else mask(str(value), secrets)


def known_secrets(environment: Mapping[str, str], names: Collection[str] = ()) -> tuple[str, ...]:
    """The values of `names` and of every variable whose name says that it holds a secret, longest first.

    A path is a secret only behind one of `names`: `SSL_KEY=/etc/ssl/key.pem` names a file.
    """
    values = {
        value
        for name, value in environment.items()
        if len(value) >= _SHORTEST
        and (name in names or (_compiled(_SECRET_NAME, re.IGNORECASE).search(name) and not value.startswith("/")))
    }
    return tuple(sorted(values, key=lambda value: (-len(value), value)))


def escape_terminal(text: str) -> str:
    """`text` in which nothing moves a cursor, changes a colour or reorders what stands around it.

    Control characters but newline and tab, DEL, C1, bidi controls, line separators and lone surrogates become visible
    escapes such as `\\x1b` and `\\u202e`.
    """
    if text.isascii() and text.isprintable():
        return text
    return _compiled(_UNSAFE).sub(_visible, text)


def one_line(text: str, width: int = 200) -> str:
    """`text` for a table or a log line: escaped, white space folded, cut to `width` characters with an ellipsis."""
    folded = escape_terminal(" ".join(text.split()))
    return folded if len(folded) <= width else folded[: width - 1] + "…"


@cache
def _compiled(pattern: str, flags: int = 0) -> re.Pattern[str]:
    return re.compile(pattern, flags)


def _visible(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
