"""Files of scripted replies are read as strictly as pipelines."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.load import Loaded

Load = Callable[[str], Loaded]
Complain = Callable[[str], list[str]]


@pytest.fixture
def scripted(small: str) -> str:
    """A pipeline whose implementer is played by `r.yaml`."""
    return small.replace("google/gemini-3.5-flash", "scripted/r.yaml")


def test_arguments_keep_their_json_types(tmp_path: Path, scripted: str, load_text: Load) -> None:
    """What stands in `args` is what the tool gets."""
    args = "{a: 1, b: 1.5, c: true, d: null, e: [x, {f: '1'}], g: on, h: \"1\\n2\"}"
    (tmp_path / "r.yaml").write_text(f"replies: [{{role: x, step: 1, calls: [{{tool: t, args: {args}}}]}}]")
    (reply,) = load_text(scripted).pipeline.scripts["scripted/r.yaml"]
    expected = {"a": 1, "b": 1.5, "c": True, "d": None, "e": ["x", {"f": "1"}], "g": "on", "h": "1\n2"}
    assert reply.calls[0].args == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "r.yaml:1:1: the file is empty"),
        ("replies: [{role: x}]", "has no `step`"),
        ("replies: [{role: x, step: 0}]", "cannot be `0`"),
        ("replies: [{role: x, step: 1, calls: [{tol: y}]}]", "did you mean `tool`?"),
        ("replies: [{role: x, step: 1}, {role: x, step: 1}]", "a second reply for the same role"),
        ("replies: {", "no YAML"),
    ],
)
def test_mistakes_are_told_in_their_own_file(
    tmp_path: Path, scripted: str, complaints: Complain, text: str, words: str
) -> None:
    """One line each."""
    (tmp_path / "r.yaml").write_text(text)
    lines = complaints(scripted)
    assert len(lines) == 1 and words in lines[0], lines


def test_a_missing_file_is_told_where_it_is_named(scripted: str, complaints: Complain) -> None:
    """At the role's model."""
    (line,) = complaints(scripted)
    assert line.startswith("p.yaml:4:24: `r.yaml` in `model`: no such file")
