"""What `pipeline show` and `--dry-run` say, and where pipelines are found."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.describe import HOST_FILES, describe, render
from pipelines.find import find_pipeline, shipped
from pipelines.load import Loaded, load
from pipelines.problems import PipelineError
from runner.gate.ecosystems import HOST

Load = Callable[[str], Loaded]


def test_the_text_names_what_a_user_wants_to_know(small: str, load_text: Load) -> None:
    """Stages, models, image, commands, protected files, host paths, budget."""
    text = render(describe(load_text(small).pipeline))
    for words in (
        "implement by implementer (google/gemini-3.5-flash), at most 4 rounds of 30m",
        "image     debian",
        "run        python -m pytest -q",
        "protected  the usual test files",
        "AGENTS.md",
        "budget    10.00 USD",
        "none in the file",
    ):
        assert words in text


def test_without_limits_the_budget_is_unbounded(small: str, load_text: Load) -> None:
    """Never a guess."""
    text = render(describe(load_text(small.replace("budget: {max-cost: 10.00}\n", "")).pipeline))
    assert "budget    unbounded" in text


def test_defaults_that_were_found_out_are_shown(small: str, load_text: Load) -> None:
    """The branch checked out, and the protected files of the ecosystems found."""
    facts = describe(load_text(small).pipeline, target="trunk", protected={"tests": ("tests/**",)})
    text = render(facts)
    assert "target    trunk" in text and "protected  tests/** (default)" in text


def test_nothing_that_is_shown_steers_a_terminal(small: str, load_text: Load) -> None:
    """Control characters of a command come out as escapes."""
    text = render(describe(load_text(small.replace("python -m pytest -q", '"a\\e[31mb"')).pipeline))
    assert "\x1b" not in text and r"a\x1b[31mb" in text


def test_the_host_files_shown_are_those_that_the_gate_holds() -> None:
    """Two rooms, one list."""
    assert tuple(path.removesuffix("/**") for path in HOST_FILES) == HOST


@pytest.mark.parametrize("name", ["solo", "duo", "fix"])
def test_shipped_pipelines_are_found_by_name_and_have_no_warning(name: str, tmp_path: Path) -> None:
    """They are examples, so nothing in them is worth a second look."""
    loaded = load(find_pipeline(name, folder=tmp_path))
    assert loaded.warnings == ()
    assert render(describe(loaded.pipeline))


def test_a_file_wins_over_a_shipped_name(tmp_path: Path) -> None:
    """The user's own comes first."""
    (tmp_path / "solo").write_text("version: 1\n")
    assert find_pipeline("solo", folder=tmp_path) == tmp_path / "solo"


def test_without_a_name_it_is_the_file_here_or_in_the_repository(tmp_path: Path) -> None:
    """`./pipeline.yaml` first."""
    here, repo = tmp_path / "here", tmp_path / "repo"
    here.mkdir()
    repo.mkdir()
    with pytest.raises(PipelineError, match="`relay init` writes one"):
        find_pipeline(None, folder=here, repo=repo)
    (repo / "pipeline.yaml").touch()
    assert find_pipeline(None, folder=here, repo=repo) == repo / "pipeline.yaml"
    (repo / ".git").mkdir()
    (repo / "src" / "deep").mkdir(parents=True)
    deep = repo / "src" / "deep"
    assert find_pipeline(None, folder=deep, repo=deep) == repo / "pipeline.yaml"
    (here / "pipeline.yaml").touch()
    assert find_pipeline(None, folder=here, repo=repo) == here / "pipeline.yaml"


@pytest.mark.parametrize(("wanted", "words"), [("sollo", "did you mean the shipped pipeline `solo`"), ("x/y", "solo")])
def test_what_is_not_found_names_what_there_is(tmp_path: Path, wanted: str, words: str) -> None:
    """With the nearest shipped pipeline, or all of them."""
    with pytest.raises(PipelineError, match=words):
        find_pipeline(wanted, folder=tmp_path)
    assert set(shipped()) == {"solo", "duo", "fix"}
