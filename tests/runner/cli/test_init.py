"""`relay init`: what it recognises, and that what it writes works."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.load import load
from runner.cli.detect import detect
from runner.cli.starter import make_text, models, pipeline_text
from tests.runner.git.support import git, make

RELAY = Path(sys.executable).parent / "relay"
PYPROJECT = '[project]\nname = "x"\nversion = "1"\n'

PROJECTS = {
    "pytest by its configuration": (
        {"pyproject.toml": PYPROJECT + "[tool.pytest.ini_options]\n", "tests/test_a.py": "def test_a(): pass\n"},
        ("Python", "python -m pytest -q", "pip install -e . && pip install pytest"),
    ),
    "an extra that brings pytest": (
        {"pyproject.toml": PYPROJECT + '[project.optional-dependencies]\ntest = ["pytest>=8"]\n'},
        ("Python", "python -m pytest -q", "pip install -e .[test]"),
    ),
    "a dependency group": (
        {"pyproject.toml": PYPROJECT + '[dependency-groups]\ndev = ["pytest"]\n'},
        ("Python", "python -m pytest -q", "pip install -e . && pip install -U pip && pip install --group dev"),
    ),
    "requirements": (
        {"requirements.txt": "six\n", "requirements-dev.txt": "pytest\n", "test_a.py": "def test_a(): pass\n"},
        ("Python", "python -m pytest -q", "pip install -r requirements.txt && pip install -r requirements-dev.txt"),
    ),
    "unittest": (
        {"a.py": "", "tests/test_a.py": "import unittest\nclass A(unittest.TestCase):\n    def test_a(self): pass\n"},
        ("Python", "python -m unittest", ""),
    ),
    "npm": (
        {"package.json": '{"scripts": {"test": "vitest"}}', "package-lock.json": "{}"},
        ("JavaScript", "npm test", "npm ci"),
    ),
    "node's own runner": (
        {"package.json": '{"scripts": {"test": "echo \\"Error: no test specified\\" && exit 1"}}', "a.test.mjs": ""},
        ("JavaScript", "node --test", ""),
    ),
    "Go": ({"go.mod": "module x\n", "go.sum": ""}, ("Go", "go test ./...", "go mod download")),
    "Rust": ({"Cargo.toml": "[package]\n"}, ("Rust", "cargo test", "cargo fetch")),
    "make": ({"Makefile": "all:\n\techo\ntest: all\n\t./run\n"}, ("", "make test", "")),
    "nothing": ({"README.md": "x"}, ("", "", "")),
    "broken manifests": (
        {"package.json": "[", "pyproject.toml": "=", "a_test.py": ""},
        ("Python", "python -m pytest -q", "pip install pytest"),
    ),
}


@pytest.mark.parametrize("name", PROJECTS)
@pytest.mark.parametrize("registry", [True, False])
def test_a_project_is_recognised_and_the_file_for_it_validates(name: str, registry: bool, tmp_path: Path) -> None:
    """Language, test command and setup; the text is a pipeline that says just that."""
    files, expected = PROJECTS[name]
    project = detect(list(files), lambda path: files.get(path, ""))
    assert (project.language, project.run, project.setup) == expected
    path = tmp_path / "pipeline.yaml"
    path.write_text(pipeline_text(project, target="feature/#1", registry=registry, vendors=["openai", "google"]))
    pipeline = load(path).pipeline
    assert pipeline.target == "feature/#1"
    assert pipeline.gates["tests"].run == (project.run or "./run-tests")
    assert pipeline.sandbox.image == (project.image if registry else "debian")
    assert [stage.verb for stage in pipeline.stages] == ["plan", "implement", "test", "review", "merge"]
    setup = pipeline.sandbox.setup or ""
    if project.packages and pipeline.sandbox.image == "debian":
        assert setup.startswith("apt-get update && apt-get install -y --no-install-recommends " + project.packages[0])
    if pipeline.sandbox.image == "debian":
        assert not setup.endswith("pip install pytest")


@pytest.mark.parametrize(
    ("vendors", "expected"),
    [
        ((), ("anthropic/claude-opus-5-5", "google/gemini-3.5-flash")),
        (("openai",), ("openai/gpt-6-sol", "openai/gpt-5.4-mini")),
        (("anthropic",), ("anthropic/claude-opus-5-5", "anthropic/claude-sonnet-5-5")),
        (("anthropic", "openai"), ("anthropic/claude-opus-5-5", "openai/gpt-5.4-mini")),
        (("google", "openai"), ("openai/gpt-6-sol", "google/gemini-3.5-flash")),
    ],
)
def test_the_keys_that_are_set_decide_the_models(vendors: tuple[str, ...], expected: tuple[str, str]) -> None:
    """Two vendors where there are two; the defaults where there is none."""
    assert models(vendors) == expected


def test_every_model_that_it_names_has_a_price() -> None:
    """A file with a money budget and an unknown price would be refused."""
    from runner.models import prices

    named = {model for v in ((), ("openai",), ("anthropic",), ("google",)) for model in models(v)}
    assert [model for model in named if not prices.is_known(model)] == []


def run_init(repo: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([RELAY, "init", "--repo", repo, *more], capture_output=True, text=True, check=False)


def test_it_writes_two_files_and_touches_nothing_else(tmp_path: Path) -> None:
    """In a folder with spaces and unicode, on a branch of any name."""
    repo = make(tmp_path / "my répo", {"Makefile": "test:\n\ttrue\n"}, branch="trunk")
    done = run_init(repo, "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["run"], told["target"]) == ("make test", "trunk")
    assert git(repo, "status", "--porcelain").split() == ["??", "pipeline.yaml", "??", "relay.mk"]
    assert load(repo / "pipeline.yaml").pipeline.target == "trunk"


def test_it_never_overwrites(tmp_path: Path) -> None:
    """One file in the way, and neither is written."""
    repo = make(tmp_path / "repo")
    (repo / "relay.mk").write_text("mine")
    done = run_init(repo)
    assert done.returncode == 2
    assert "overwrites nothing" in done.stderr and "mv relay.mk" in done.stderr
    assert not (repo / "pipeline.yaml").exists()
    assert (repo / "relay.mk").read_text() == "mine"


def test_outside_of_a_repository_it_says_what_to_do(tmp_path: Path) -> None:
    """A sentence, and nothing is written."""
    done = run_init(tmp_path)
    assert done.returncode == 4
    assert "git init" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("target", ["relay", "overnight"])
def test_the_make_file_runs_relay_without_a_terminal_and_prints_its_exit_code(target: str, tmp_path: Path) -> None:
    """With a PATH as cron has it, from another folder, in a path with spaces."""
    repo = tmp_path / "a repo"
    repo.mkdir()
    relay = tmp_path / "relay bin"
    relay.write_text('#!/bin/sh\ntest -t 0 && echo terminal\necho "$PWD: $@"\nexit 7\n')
    relay.chmod(0o755)
    (repo / "relay.mk").write_text(make_text(str(relay), "pipeline.yaml"))
    done = subprocess.run(
        ["make", "-f", repo / "relay.mk", target, "RELAY_ARGS=--task 'mend it'"],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2  # make's own
    assert "relay: exit code 7" in done.stdout
    said = done.stdout if target == "relay" else (repo / "relay-overnight.log").read_text()
    assert f"{repo}: pipeline run pipeline.yaml --task mend it" in said
    assert "terminal" not in said


def test_another_relay_can_be_named(tmp_path: Path) -> None:
    """RELAY= wins over the place that init found."""
    (tmp_path / "relay.mk").write_text(make_text("/nowhere/relay", "pipeline.yaml"))
    done = subprocess.run(
        ["make", "-s", "-f", "relay.mk", "relay", "RELAY=/bin/echo"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "pipeline run pipeline.yaml\nrelay: exit code 0\n"


PLAYED = """\
replies:
  - role: implementer
    step: 1
    calls:
      - {tool: write, args: {path: tests/test_more.py, content: "def test_more(): pass\\n"}}
      - {tool: done, args: {summary: one more test}}
  - {role: architect, change: t1-1, step: 1, calls: [{tool: review, args: {decision: approve, summary: right}}]}
  - role: architect
    step: 1
    calls: [{tool: spec, args: {title: More, body: One more test., changes: [{title: More, body: One more test.}]}}]
"""


def test_make_runs_the_main_job_in_the_user_s_repository_without_a_terminal(tmp_path: Path) -> None:
    """From `relay init` by `make -f relay.mk relay` to landed work, with scripted models; the exit code is said."""
    repo = make(tmp_path / "my repo", {"tests/test_a.py": "def test_a(): pass\n"})
    told = run_init(repo)
    assert told.returncode == 0 and f"cd '{repo}', then relay doctor pipeline.yaml" in told.stdout
    git(repo, "switch", "-qc", "elsewhere")
    text = (repo / "pipeline.yaml").read_text()
    for model in ("anthropic/claude-opus-5-5", "google/gemini-3.5-flash"):
        assert model in text
        text = text.replace(model, "scripted/replies.yaml")
    (repo / "pipeline.yaml").write_text(text.replace("image: python:3.12-slim", "image: debian"))
    (repo / "replies.yaml").write_text(PLAYED)
    done = subprocess.run(
        ["make", "-f", repo / "relay.mk", "relay", "RELAY_ARGS=--task 'Add a test'"],
        cwd=tmp_path,
        env={
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": os.environ.get("HOME", "/"),
            "XDG_CACHE_HOME": str(tmp_path / "c"),
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.rstrip().endswith("relay: exit code 0")
    assert git(repo, "show", "--format=%s", "--name-only", "main").split("\n") == ["More", "", "tests/test_more.py"]


def test_a_folder_of_projects_and_an_empty_one_get_a_file_that_validates(tmp_path: Path) -> None:
    """Through the command: what is not known is said to be put in."""
    parts = {"api/test_a.py": "def test_a(): pass\n", "web/package.json": '{"scripts": {"test": "vitest"}}'}
    for name, files, expected in (("both", parts, "python -m pytest -q"), ("empty", {}, "put your command into gates")):
        repo = make(tmp_path / name, files)
        assert expected in run_init(repo).stdout
        done = subprocess.run([RELAY, "pipeline", "validate"], cwd=repo, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
