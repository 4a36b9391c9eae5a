"""Checks against the outside: keys, branches, prices, tasks; and what is worth a second look."""

from pathlib import Path

import pytest

from pipelines.lint import Facts
from pipelines.load import load
from pipelines.problems import PipelineError

KEYS = frozenset({"ANTHROPIC_API_KEY", "GEMINI_API_KEY"})


def _facts(
    env: frozenset[str] = KEYS, branches: frozenset[str] | None = None, known: bool = True, to_run: bool = True
) -> Facts:
    return Facts(env, lambda: branches, lambda model: known, to_run=to_run)


def _lines(folder: Path, text: str, facts: Facts, tasks: tuple[str, ...] = ("Do it.",)) -> list[str]:
    path = folder / "p.yaml"
    path.write_text(text)
    try:
        found = load(path, facts=facts, tasks=tasks).warnings
    except PipelineError as error:
        found = error.problems
    return [str(problem).removeprefix(f"{folder}/") for problem in found]


def test_a_pipeline_that_has_all_it_needs_is_fine(tmp_path: Path, small: str) -> None:
    """No problem, no warning."""
    assert _lines(tmp_path, small, _facts()) == []


@pytest.mark.parametrize(
    ("model", "names"),
    [
        ("anthropic/claude-sonnet-5-5", {"ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"}),
        ("google/gemini-3.5-flash", {"GOOGLE_API_KEY", "GEMINI_API_KEY"}),
        ("openai/gpt-6-sol", {"OPENAI_API_KEY"}),
        ("openai/gpt-6-sol, api-key-env: OWN", {"OWN"}),
        ("openai-compatible/q, base-url: 'http://h/v1', api-key-env: OWN", {"OWN"}),
    ],
)
def test_each_vendor_asks_for_its_own_key(tmp_path: Path, small: str, model: str, names: set[str]) -> None:
    """Any one of its names will do; without one, that is told before anything is paid."""
    text = small.replace("{model: google/gemini-3.5-flash}", f"{{model: {model}}}")
    others = frozenset({"ANTHROPIC_API_KEY"}) - names
    if "anthropic" in model:
        text = text.replace("anthropic/claude-opus-5-5", "google/gemini-3.5-flash")
        others = frozenset({"GOOGLE_API_KEY"})
    for name in names:
        assert _lines(tmp_path, text, _facts(others | {name})) == []
    (line,) = _lines(tmp_path, text, _facts(others))
    assert "no key for" in line and all(name in line for name in names)


def test_servers_of_ones_own_and_scripts_need_no_key(tmp_path: Path, small: str) -> None:
    """`openai-compatible` without `api-key-env`, and `scripted`."""
    (tmp_path / "r.yaml").write_text("replies: []")
    text = small.replace("google/gemini-3.5-flash", "scripted/r.yaml")
    text = text.replace("{model: anthropic/claude-opus-5-5}", "{model: openai-compatible/q, base-url: 'http://h/v1'}")
    assert _lines(tmp_path, text, _facts(frozenset())) == []


def test_a_file_is_judged_without_keys_or_tasks_where_nothing_is_to_run(tmp_path: Path, small: str) -> None:
    """`pipeline validate` says what is missing, and accepts the file; with a mistake it says both."""
    facts = _facts(frozenset(), to_run=False)
    lines = _lines(tmp_path, small, facts, ())
    assert len(lines) == 2 and all("warning: no key for" in line for line in lines)
    lines = _lines(tmp_path, small + "retries: 3\n", facts, ())
    assert len(lines) == 3 and not any("warning" in line for line in lines)


def test_a_run_needs_a_task(tmp_path: Path, small: str) -> None:
    """With an example of how to give one; a task of either kind will do."""
    (line,) = _lines(tmp_path, small, _facts(), ())
    assert "no task" in line and "--task" in line
    assert _lines(tmp_path, small + "tasks: [Do it.]\n", _facts(), ()) == []


def test_the_target_must_exist(tmp_path: Path, small: str) -> None:
    """Where there is a repository to look into."""
    text = f"target: mian\n{small}"
    (line,) = _lines(tmp_path, text, _facts(branches=frozenset({"main", "dev"})))
    assert line == "p.yaml:1:9: there is no branch `mian`: did you mean `main`?"
    assert _lines(tmp_path, text, _facts(branches=None)) == []


def test_an_unknown_price_is_no_zero(tmp_path: Path, small: str) -> None:
    """With a money budget it is refused, and the line to paste is printed and accepted."""
    text = small.replace("google/gemini-3.5-flash", "google/gemini-9:b")
    facts = Facts(KEYS, lambda: None, lambda model: "claude" in model)
    (line,) = _lines(tmp_path, text, facts)
    assert line.startswith("p.yaml:4:24: the price of `google/gemini-9:b` is unknown")
    paste = line.split("`")[5]
    assert _lines(tmp_path, f"{text}{paste}\n", facts) == []
    assert _lines(tmp_path, text.replace("max-cost: 10.00", "max-time: 8h"), facts) == []


def test_a_money_budget_of_the_command_line_counts(tmp_path: Path, small: str) -> None:
    """`--max-cost` needs prices as `max-cost` does, and is a budget."""
    text = small.replace("budget: {max-cost: 10.00}\n", "")
    assert _lines(tmp_path, text, Facts(KEYS, lambda: None, lambda model: True, money_budget=True)) == []
    lines = _lines(tmp_path, text, Facts(KEYS, lambda: None, lambda model: False, money_budget=True))
    assert len(lines) == 2 and all("price of" in line for line in lines)


@pytest.mark.parametrize(
    ("old", "new", "place", "words"),
    [
        ("budget: {max-cost: 10.00}\n", "", "1:1", "no budget"),
        ("anthropic/claude-opus-5-5", "google/gemini-3.5-flash", "11:13", "the implementer's own model"),
        ("pytest -q}", "pytest -q, protected-files: []}", "6:37", "protects no file"),
        ("gates:\n", "gates:\n  lint: {run: ruff check .}\n", "6:3", "no stage uses the gate `lint`"),
        ("roles:\n", "roles:\n  spare: {model: openai/gpt-6-sol}\n", "3:3", "no stage uses the role `spare`"),
        ("  - merge: squash\n", "", "7:1", "no `merge` stage"),
    ],
)
def test_warnings_do_not_refuse(tmp_path: Path, small: str, old: str, new: str, place: str, words: str) -> None:
    """What may be meant so is told once, and accepted."""
    (line,) = _lines(tmp_path, small.replace(old, new, 1), _facts())
    assert line.startswith(f"p.yaml:{place}: warning: ") and words in line


def test_mistakes_of_all_kinds_are_told_together(tmp_path: Path, small: str) -> None:
    """Form, names, order and the outside, in one go."""
    text = small.replace("  - test: tests\n", "  - test: test\n").replace("version: 1", "version: 1\ntarget: x")
    lines = _lines(tmp_path, text + "retries: 2\n", _facts(frozenset(), frozenset({"main"}), known=False), ())
    words = [
        "no branch",
        "no key for",
        "price of",
        "no key for",
        "price of",
        "no gate `test`",
        "unknown key",
        "no task",
    ]
    assert all(any(word in line for line in lines) for word in words)
    assert len(lines) == len(words)


def test_the_order_of_stages_may_loop_twice(tmp_path: Path, small: str) -> None:
    """Each `implement` is judged by what stands below it."""
    twice = "  - implement: implementer\n  - test: tests\n"
    text = small.replace(twice, twice * 2).replace("  - review: architect\n", "  - approve: human\n")
    assert _lines(tmp_path, text, _facts()) == []
