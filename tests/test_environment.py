"""The environment of a project through the real command: set up once with the network, offline afterwards, clean."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.load import load
from runner.cli.trial import check_pipeline
from runner.git.repo import open_repository
from runner.stages import environments
from sandbox.docker import connect
from tests.playing import Play, approve, bash, done, edit, play

SETUPTOOLS = """
[build-system]
requires = ["setuptools>=61"]
build-backend = "setuptools.build_meta"

[project]
name = "till"
version = "3.1"
scripts = {till = "till:main"}

[tool.setuptools]
packages = ["till"]
"""
HATCHLING = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "till"
version = "3.1"
scripts = {till = "till:main"}

[tool.hatch.build.targets.wheel]
packages = ["till"]
"""
CODE = "def main():\n    print('open')\n"
TESTS = """
import importlib.metadata, os, pathlib, socket, subprocess, pytest

def test_the_package_is_installed():
    assert importlib.metadata.version("till") == "3.1"
    assert subprocess.check_output(["till"], text=True).strip() in ("open", "closed")

def test_no_network_reaches_the_gate():
    assert os.listdir("/sys/class/net") == ["lo"]

def test_what_the_policy_gives_is_there():
    assert os.environ["TILL_MODE"] == "test"
    assert pathlib.Path(".env.test").read_text() == "TOKEN=untracked\\n"
    with pytest.raises(OSError):
        pathlib.Path(".env.test").write_text("x")

def test_limits_are_those_of_the_policy():
    old, new = pathlib.Path("/sys/fs/cgroup/pids/pids.max"), pathlib.Path("/sys/fs/cgroup/pids.max")
    assert (old if old.exists() else new).read_text().strip() == "99"
    old, new = pathlib.Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"), pathlib.Path("/sys/fs/cgroup/memory.max")
    assert (old if old.exists() else new).read_text().strip() == str(300 * 2**20)
"""
LOOK = """
till; git describe --tags; cat /opt/described ~/.tillrc; cat .env.test; echo mode $TILL_MODE
ls /sys/class/net; git status --short; ls -d *.egg-info
env | grep -i -e proxy -e index -e cert; ls /run/relay/ca.pem
"""
SETUP = """
set -e
pip install -q -e .
git describe --tags >/opt/described; git status --short >&2; echo setup was $TILL_MODE; echo rc >~/.tillrc
"""


@pytest.fixture(autouse=True)
def no_environment_stays(tmp_path: Path) -> Iterator[None]:
    """The engine's images outlast a test's folder."""
    yield
    with connect() as engine:
        for log in tmp_path.glob("**/extras/*.log"):
            engine.remove_image(f"relay/env:{log.stem}")


def till(root: Path, project: str, **policy: object) -> Play:
    """An installable project on a tagged commit, with an untracked file that its tests need."""
    files = {"pyproject.toml": project, "till/__init__.py": CODE, "tests/test_till.py": TESTS}
    sandbox = {
        "image": "debian",
        "setup": SETUP,
        "env": {"TILL_MODE": "test"},
        "files": [".env.test"],
        "limits": {"cpus": 1, "memory": "300m", "pids": 99, "output": "20k"},
        **policy,
    }
    story = play(root, files, sandbox=sandbox, tasks=["Close the till"])
    story.git("tag", "v3.1", "main")
    (story.repo / ".git" / "info" / "exclude").write_text(".env.test\n")
    (story.repo / ".env.test").write_text("TOKEN=untracked\n")
    story.says("implementer", bash(LOOK), [edit("till/__init__.py", "open", "closed"), done("The till is closed.")])
    story.says("reviewer", approve())
    return story


def seen(story: Play) -> str:
    """What the implementer's first command printed."""
    lines = [json.loads(line) for line in story.kept("r1.1.implement/transcript.jsonl").splitlines()]
    return str(lines)


def test_an_editable_install_by_setuptools_is_built_once_and_its_traces_are_never_harvested(tmp_path: Path) -> None:
    """egg-info lies in the tree below the tracked files; setup sees the tree's own history and tags; offline later."""
    story = till(tmp_path, SETUPTOOLS)
    told = story.run()
    assert (told.code, told.outcome) == (0, "landed"), told.err
    said = [event["line"] for event in story.events("setup")]
    assert "setup was test" in said and not [line for line in said if line.startswith(" M")]
    looked = seen(story)
    for text in ("open", "v3.1\\n", "rc\\n", "TOKEN=untracked", "mode test", "lo\\n", "till.egg-info"):
        assert text in looked, text
    assert "?? " not in looked and "cannot access '/run/relay/ca.pem'" in looked
    assert story.files() == [".gitignore", "pyproject.toml", "tests/test_till.py", "till/__init__.py"]
    story.replies.clear()
    story.says("implementer", [edit("till/__init__.py", "def main", "# Closed.\ndef main"), done("It is said.")])
    story.says("reviewer", approve())
    again = story.run()
    assert again.code == 0 and story.events("setup") == [], again.err


def test_an_editable_install_by_hatchling_works_with_the_network_for_turns_only(tmp_path: Path) -> None:
    """`network: full` opens the turn; the gate's own tests see none."""
    story = till(tmp_path, HATCHLING, network="full")
    told = story.run()
    assert (told.code, told.outcome) == (0, "landed"), told.err
    assert "eth0" in seen(story)
    assert story.files() == [".gitignore", "pyproject.toml", "tests/test_till.py", "till/__init__.py"]


def test_a_setup_that_fails_shows_its_log_before_anything_is_paid(tmp_path: Path) -> None:
    """Machinery's exit code, the end of the log, and no model was asked."""
    story = till(
        tmp_path,
        HATCHLING,
        setup="seq 1000; printf '\\033]0;evil\\007'; echo looking for it; echo E: not to be had >&2; exit 3",
    )
    told = story.run()
    assert (told.code, told.outcome) == (4, "broken")
    assert "failed with status 3" in told.err and "E: not to be had" in told.err and "\n17\n" not in told.err
    assert "Traceback" not in told.err and "\x1b" not in told.err and story.events("model-replied") == []


def test_a_setup_beyond_its_time_is_told_as_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By `relay doctor FILE`, which builds what a run would build."""
    story = till(tmp_path, HATCHLING, setup="echo begun; sleep 600", files=[])
    monkeypatch.setattr(environments, "SETUP_TIMEOUT", 1.0)
    file = tmp_path / "pipeline.yaml"
    file.write_text(json.dumps(story.pipeline))
    (tmp_path / "replies.yaml").write_text(json.dumps({"replies": story.replies}))
    environ = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    with connect() as engine:
        checks = list(check_pipeline(load(file).pipeline, open_repository(story.repo), engine, environ))
    (failed,) = (check for check in checks if not check.ok)
    assert failed.name == "setup" and "did not end within 1 s" in failed.detail and "begun" in failed.detail
