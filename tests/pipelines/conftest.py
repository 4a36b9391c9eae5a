"""A small pipeline to change in tests, and a way to load it from a folder."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.load import Loaded, load
from pipelines.problems import PipelineError

SMALL = """\
version: 1
roles:
  architect: {model: anthropic/claude-opus-5-5}
  implementer: {model: google/gemini-3.5-flash}
gates:
  tests: {run: python -m pytest -q}
stages:
  - plan: architect
  - implement: implementer
  - test: tests
  - review: architect
  - merge: squash
budget: {max-cost: 10.00}
"""

Load = Callable[[str], Loaded]
Complain = Callable[[str], list[str]]


@pytest.fixture
def small() -> str:
    """The smallest useful pipeline."""
    return SMALL


@pytest.fixture
def load_text(tmp_path: Path) -> Load:
    """Loads a text as the file `p.yaml` of a folder of its own."""

    def loaded(text: str) -> Loaded:
        path = tmp_path / "p.yaml"
        path.write_text(text, encoding="utf-8")
        return load(path)

    return loaded


@pytest.fixture
def complaints(tmp_path: Path, load_text: Load) -> Complain:
    """The lines that a text gets, without the folder's name; none when it is right."""

    def lines(text: str) -> list[str]:
        try:
            load_text(text)
        except PipelineError as error:
            return [str(problem).removeprefix(f"{tmp_path}/") for problem in error.problems]
        return []

    return lines
