"""Fences around text that relay did not write, so that a model can tell data from instructions.

A fence is a word that its text does not hold, drawn from the text's own hash: the same text gives the same prompt.
"""

from __future__ import annotations

import hashlib

from runner.agent.outputs import readable


def fenced(name: str, text: str | bytes, *, about: str = "") -> str:
    """The text between two lines that name it as data. `name` says what it is, `about` where it is from."""
    shown = readable(text if isinstance(text, bytes) else text.encode("utf-8", "replace"), lone_cr="\r")
    word = fence_word(shown)
    label = f"{name}: {about}" if about else name
    label = "".join(character if character.isprintable() else "?" for character in label)
    end = "" if shown.endswith("\n") or not shown else "\n"
    return f"<<<{word} {label}\n{shown}{end}{word}>>>"


def fence_word(text: str) -> str:
    """A word that does not occur in the text, of 16 hexadecimal digits behind `data-`."""
    number = 0
    while True:
        digest = hashlib.sha256(f"{number}\0{text}".encode("utf-8", "replace")).hexdigest()[:16]
        if digest not in text:
            return f"data-{digest}"
        number += 1
