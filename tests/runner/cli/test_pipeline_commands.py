"""`relay pipeline validate`, `show` and `schema`, as a user calls them."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.find import shipped
from runner.cli.facts import PRICED
from runner.cli.main import run
from runner.models.prices import is_known
from tests.runner.git.support import git, make

FIX = shipped()["fix"].read_text().replace("budget: {max-cost: 5.00, max-time: 2h}", "")
KEYS = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "GOOGLE_API_KEY", "GEMINI_API_KEY", "OPENAI_API_KEY")
Relay = Callable[..., tuple[int, str, str]]


@pytest.fixture
def relay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Relay:
    """Runs `relay pipeline ...` in a folder of its own: exit code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)
    for name in KEYS:
        monkeypatch.delenv(name, raising=False)

    def called(*arguments: str) -> tuple[int, str, str]:
        code = run(["pipeline", *arguments], {})
        out, err = capsys.readouterr()
        return code, out, err

    return called


@pytest.mark.parametrize("name", ["solo", "duo", "fix"])
def test_shipped_pipelines_are_valid_on_any_machine(relay: Relay, name: str) -> None:
    """A missing key is said, and is no mistake of the file."""
    code, out, err = relay("validate", name)
    assert code == 0
    assert "valid" in out
    assert "ANTHROPIC_API_KEY" in err


def test_a_file_with_mistakes_ends_with_two_and_a_line_for_each(relay: Relay) -> None:
    """Each line begins with file, line and column."""
    Path("pipeline.yaml").write_text("version: 1\nrolls: {}\nstages: []\ntarget: 1\n")
    code, out, err = relay("validate")
    assert (code, out) == (2, "")
    assert [line.split(": ")[0] for line in err.splitlines()] == [f"pipeline.yaml:{at}" for at in ("2:1", "3:1", "4:9")]


def test_the_same_is_there_as_json(relay: Relay) -> None:
    """For editors and scripts."""
    Path("p.yaml").write_text("version: 2\n")
    code, out, _ = relay("validate", "p.yaml", "--json")
    found = json.loads(out)
    assert code == 2 and found["valid"] is False
    assert {problem["severity"] for problem in found["problems"]} == {"error"}


def test_without_a_file_it_says_how_to_get_one(relay: Relay) -> None:
    """The next command is named."""
    code, _, err = relay("validate")
    assert code == 2 and "relay init" in err


def test_show_prints_the_same_facts_in_both_forms(relay: Relay) -> None:
    """As text and as JSON."""
    code, out, _ = relay("show", "duo")
    assert code == 0 and "review by architect (anthropic/claude-opus-5-5) and second (openai/gpt-6-sol)" in out
    code, out, _ = relay("show", "duo", "--json")
    assert code == 0 and json.loads(out)["stages"][3]["roles"][1]["model"] == "openai/gpt-6-sol"


def test_schema_is_json(relay: Relay) -> None:
    """To be saved beside a pipeline."""
    code, out, _ = relay("schema")
    assert code == 0 and json.loads(out)["title"] == "relay pipeline"


def test_models_that_are_said_to_have_a_price_have_one() -> None:
    """The short list saves loading the long one; it must not say more."""
    assert all(is_known(model) for model in PRICED)


def test_a_dry_run_says_what_would_happen_and_needs_no_key(relay: Relay, tmp_path: Path) -> None:
    """Stages, models, image, commands, the files that are protected in the target's tree; a budget, or that none is."""
    make(tmp_path, {"tests/test_a.py": "def test_a(): pass\n", "pyproject.toml": "[project]\n", "pipeline.yaml": FIX})
    code, out, err = relay("run", "--task", "Add x", "--dry-run")
    assert code == 0 and "no key for `google/gemini-3.5-flash`" in err
    for words in (
        "target    main",
        "1. implement by implementer (google/gemini-3.5-flash)",
        "image     debian",
        "run        python -m pytest -q",
        "t1: Add x",
        "budget    unbounded",
    ):
        assert words in out
    protected = next(line for line in out.splitlines() if line.startswith("  protected"))
    assert "test_*.py" in protected and "pyproject.toml" in protected
    code, out, _ = relay("run", "--task", "Add x", "--dry-run", "--json", "--max-cost", "2.5")
    assert code == 0 and json.loads(out)["budget"]["max_cost_usd"] == 2.5
    assert git(tmp_path, "for-each-ref", "refs/relay") == ""
