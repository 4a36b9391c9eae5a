"""Every key reaches the frozen values, and nothing else is in the table."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pipelines.keys import PIPELINE
from pipelines.kinds import ListOf, MapOf, Record, StageKind
from pipelines.load import Loaded, load, thaw
from pipelines.pipeline import Pipeline, Price, Results, SandboxPolicy

Load = Callable[[str], Loaded]

FULL = """\
version: 1
target: main
roles:
  architect: {model: anthropic/claude-opus-5-5, effort: high, prompt: prompts/a.md, context: [AGENTS.md], max-steps: 7}
  implementer: {model: google/gemini-3.5-flash, fallbacks: [openai/gpt-6-sol, scripted/r.yaml]}
  local:
    model: openai-compatible/qwen3:8b
    base-url: "http://127.0.0.1:8080/v1"
    api-key-env: LOCAL_KEY
    max-output-tokens: 8k
    context-window: 32k
sandbox:
  image: python:3.12-slim
  pull: never
  setup: pip install -e .[test]
  setup-inputs: [pyproject.toml]
  network: full
  env: {PYTHONHASHSEED: "0"}
  files: [.env.test]
  limits: {cpus: 1.5, memory: 2g, pids: 100, output: 64k}
gates:
  tests:
    run: python -m pytest -q
    results: {junit: out.xml}
    protected-files: ["tests/**"]
    min-tests: 3
    timeout: 90s
  lint: {run: ruff check ., results: exit-code}
stages:
  - {name: spec, plan: architect, max-changes: 3}
  - {name: code, implement: implementer, max-rounds: 2, timeout: 20m, idle-timeout: 5m, may-change: ["tests/**"]}
  - {name: check, test: [lint, tests]}
  - {name: look, review: [architect, local]}
  - {name: sign-off, approve: human}
  - {name: land, merge: squash, checkout: hold}
tasks: [tasks/*.md, "Say hello."]
max-parallel: 1
budget: {max-cost: 10.50, max-tokens: 20m, max-time: 8h}
prices: {openai-compatible/qwen3:8b: {input: 0, output: 0.5, cache-read: 0.1, cache-write: 0.2}}
"""
FILES = {
    "prompts/a.md": "Plan well.\n",
    "r.yaml": "replies: [{role: implementer, step: 1, round: 2, text: hi, calls: [{tool: a, args: {b: x}}]}]\n",
    "tasks/one.md": "---\npriority: 2\nmay-change: [docs/**]\n---\n# One\n\nDo it.\n",
    "tasks/zwei Größe.md": "---\nid: two\nneeds: one\n---\nDo more.\n",
}


@pytest.fixture
def full(tmp_path: Path) -> Loaded:
    """A pipeline that says all that can be said."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "p.yaml").write_text(FULL, encoding="utf-8")
    return load(tmp_path / "p.yaml")


REACHES: dict[str, tuple[Callable[[Pipeline], Any], Any]] = {
    "target": (lambda p: p.target, "main"),
    "model": (lambda p: p.roles["architect"].model, "anthropic/claude-opus-5-5"),
    "effort": (lambda p: p.roles["architect"].effort, "high"),
    "prompt": (lambda p: p.roles["architect"].prompt, "Plan well.\n"),
    "context": (lambda p: p.roles["architect"].context, ("AGENTS.md",)),
    "max-steps": (lambda p: p.roles["architect"].max_steps, 7),
    "fallbacks": (lambda p: p.roles["implementer"].fallbacks, ("openai/gpt-6-sol", "scripted/r.yaml")),
    "base-url": (lambda p: p.roles["local"].base_url, "http://127.0.0.1:8080/v1"),
    "api-key-env": (lambda p: p.roles["local"].api_key_env, "LOCAL_KEY"),
    "max-output-tokens": (lambda p: p.roles["local"].max_output_tokens, 8000),
    "context-window": (lambda p: p.roles["local"].context_window, 32_000),
    "image": (lambda p: p.sandbox.image, "python:3.12-slim"),
    "pull": (lambda p: p.sandbox.pull, "never"),
    "setup": (lambda p: p.sandbox.setup, "pip install -e .[test]"),
    "setup-inputs": (lambda p: p.sandbox.setup_inputs, ("pyproject.toml",)),
    "network": (lambda p: p.sandbox.network, "full"),
    "env": (lambda p: p.sandbox.env, {"PYTHONHASHSEED": "0"}),
    "files": (lambda p: p.sandbox.files, (".env.test",)),
    "cpus": (lambda p: p.sandbox.limits.cpus, 1.5),
    "memory": (lambda p: p.sandbox.limits.memory, 2 * 1024**3),
    "pids": (lambda p: p.sandbox.limits.pids, 100),
    "output": (lambda p: p.sandbox.limits.output, 64 * 1024),
    "run": (lambda p: p.gates["lint"].run, "ruff check ."),
    "results": (
        lambda p: (p.gates["tests"].results, p.gates["lint"].results),
        (Results("junit", "out.xml"), Results("exit-code")),
    ),
    "protected-files": (lambda p: p.gates["tests"].protected_files, ("tests/**",)),
    "min-tests": (lambda p: p.gates["tests"].min_tests, 3),
    "timeout": (lambda p: (p.gates["tests"].timeout, p.stages[1].timeout), (90.0, 1200.0)),
    "idle-timeout": (lambda p: p.stages[1].idle_timeout, 300.0),
    "name": (lambda p: [s.name for s in p.stages], ["spec", "code", "check", "look", "sign-off", "land"]),
    "plan": (lambda p: p.stages[0].objects, ("architect",)),
    "max-changes": (lambda p: p.stages[0].max_changes, 3),
    "implement": (lambda p: p.stages[1].objects, ("implementer",)),
    "max-rounds": (lambda p: p.stages[1].max_rounds, 2),
    "may-change": (lambda p: p.stages[1].may_change, ("tests/**",)),
    "test": (lambda p: p.stages[2].objects, ("lint", "tests")),
    "review": (lambda p: p.stages[3].objects, ("architect", "local")),
    "approve": (lambda p: p.stages[4].objects, ("human",)),
    "merge": (lambda p: p.stages[5].objects, ("squash",)),
    "checkout": (lambda p: p.stages[5].checkout, "hold"),
    "tasks": (lambda p: [task.id for task in p.tasks], ["one", "two", "t1"]),
    "max-cost": (lambda p: p.budget.max_cost, Decimal("10.50")),
    "max-tokens": (lambda p: p.budget.max_tokens, 20_000_000),
    "max-time": (lambda p: p.budget.max_time, 28_800.0),
    "prices": (
        lambda p: p.prices["openai-compatible/qwen3:8b"],
        Price(Decimal(0), Decimal("0.5"), Decimal("0.1"), Decimal("0.2")),
    ),
}
# Groups, the language's version, and what has one value only.
PLAIN = {"version", "roles", "sandbox", "limits", "gates", "stages", "budget", "max-parallel"}
OF_PRICES = {"input", "cache-read", "cache-write"}  # with `output`, which is a limit too


@pytest.mark.parametrize("key", sorted(REACHES))
def test_each_key_reaches_the_frozen_values(key: str, full: Loaded) -> None:
    """What is written is what the run is given."""
    look, expected = REACHES[key]
    assert look(full.pipeline) == expected


def _built(kind: object) -> set[str]:
    match kind:
        case Record(keys=keys):
            built = [key for key in keys if key.kind is not None]
            return {key.name for key in built}.union(*(_built(key.kind) for key in built))
        case StageKind(common=common, verbs=verbs):
            built = [*common, *(key for verb, keys in verbs for key in (verb, *keys) if key.kind is not None)]
            return {key.name for key in built}
        case MapOf(value=value):
            return _built(value)
        case ListOf(item=item):
            return _built(item)
    return set()


def test_every_built_key_of_the_table_has_a_test() -> None:
    """A key that is parsed and without effect would be a lie."""
    assert _built(PIPELINE) - OF_PRICES == set(REACHES) | PLAIN


def test_without_keys_the_documented_defaults_hold(load_text: Load, small: str) -> None:
    """The defaults are those of the frozen values."""
    pipeline = load_text(small).pipeline
    assert pipeline.sandbox == SandboxPolicy()
    assert pipeline.target is None
    assert [stage.name for stage in pipeline.stages] == ["plan", "implement", "test", "review", "merge"]
    assert (pipeline.stages[0].max_changes, pipeline.stages[1].max_rounds) == (8, 4)
    assert pipeline.gates["tests"].protected_files is None


def test_what_was_loaded_can_be_thawed(full: Loaded) -> None:
    """A run holds the pipeline and every file it names by content; the disk is not asked again."""
    assert set(full.files) == set(FILES)
    assert thaw(full.pipeline.name, full.text, full.files) == full.pipeline


def test_everything_the_pipeline_names_is_known_by_name(full: Loaded) -> None:
    """Patterns stay patterns: a task that lands later is a host file too."""
    assert full.pipeline.named_files == ("prompts/a.md", "r.yaml", "tasks/*.md")


def test_scripted_replies_are_read_by_the_model_that_plays_them(full: Loaded) -> None:
    """The replies of `scripted/FILE`, in the file's order."""
    (reply,) = full.pipeline.scripts["scripted/r.yaml"]
    assert (reply.role, reply.step, reply.round, reply.task, reply.text) == ("implementer", 1, 2, None, "hi")
    assert (reply.calls[0].tool, reply.calls[0].args) == ("a", {"b": "x"})
