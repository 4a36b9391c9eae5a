"""`relay doctor`: every line has been seen to say `fix`, and `ok` only when it is."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.pipeline import Pipeline, Role, SandboxPolicy
from runner.cli import checks
from runner.cli.ask import ask_model
from runner.cli.doctor import inner_user
from runner.git.repo import open_repository
from sandbox.base import SandboxError
from sandbox.debian import TAG
from sandbox.docker import Engine, connect
from tests.runner.git.support import git, make, save

RELAY = Path(sys.executable).parent / "relay"


@pytest.fixture
def engine() -> Iterator[Engine]:
    """The real one."""
    with connect() as opened:
        yield opened


def is_fix(check: checks.Check, *words: str) -> None:
    """A line that says fix, with what is wrong and what to do."""
    assert not check.ok and check.detail and check.fix
    assert [word for word in words if word not in f"{check.detail} {check.fix}"] == []


def test_python_too_old() -> None:
    """relay needs 3.11."""
    is_fix(checks.python((3, 10, 4)), "3.10.4", "3.11")
    assert checks.python((3, 13, 0)).ok


def test_git_missing_or_too_old(tmp_path: Path) -> None:
    """No git in PATH; a git of another age; one that does not work."""
    is_fix(checks.git(str(tmp_path)), "apt-get install")
    tool = tmp_path / "git"
    for said in ("echo git version 1.8.3", "exit 1"):
        tool.write_text(f"#!/bin/sh\n{said}\n")
        tool.chmod(0o755)
        is_fix(checks.git(str(tmp_path)), "or newer")
    assert checks.git().ok


def test_repository_that_cannot_be_used(tmp_path: Path) -> None:
    """None at all, none with a commit, one with a branch in relay's way."""
    is_fix(checks.repository(tmp_path), "not in a git repository", "git init")
    git(tmp_path, "init", "-q", "-b", "main")
    is_fix(checks.repository(tmp_path), "no commit", "git add")
    save(tmp_path, {"a": "1"})
    (tmp_path / "b").write_text("new")
    found = checks.repository(tmp_path)
    assert found.ok and "1 uncommitted" in found.detail
    git(tmp_path, "branch", "relay")
    is_fix(checks.repository(tmp_path), "relay", "git branch -m")


def test_engine_that_does_not_answer() -> None:
    """The sentence of the engine's door, and what to do."""
    found, opened = checks.engine(lambda: connect(environ={"DOCKER_HOST": "unix:///nowhere.sock"}), {})
    assert opened is None
    is_fix(found, "nowhere.sock", "make engine")


def test_engine_that_cannot_hold_limits() -> None:
    """A kernel without the memory controller."""
    is_fix(checks.limits("engine", "Docker 20", ("memory", "swap")), "memory, swap", "cgroup_enable")


def test_engine_that_answers_is_described() -> None:
    """Version, storage driver, cgroup."""
    found, opened = checks.engine(connect, {})
    assert opened is not None
    opened.close()
    assert found.ok and "cgroup v" in found.detail


@pytest.mark.parametrize(
    ("version", "ok"),
    [
        ("1.1.12", True),
        ("1.2.0-rc.1", True),
        ("1.1.5+ds1-1+deb12u1", True),
        ("1.1.12-0ubuntu2", True),
        ("1.1.7-0ubuntu1~22.04.2", True),
        ("1.1.5", False),
        ("v1.1.11-0-g4bccb38", False),
        ("1.1.5+ds1", False),
    ],
)
def test_runc_with_a_known_hole(version: str, ok: bool) -> None:
    """Older than the fix of CVE-2024-21626, and not a distribution's own build that has it."""
    check = checks.runc({"runc": version})
    assert check.ok is ok
    if not ok:
        is_fix(check, "CVE-2024-21626", "upgrade runc")


def test_image_that_is_missing(engine: Engine) -> None:
    """An image that no registry gives; and the base image is named with relay's own command."""
    is_fix(checks.image(engine, "relay-nowhere/nothing:1"), "no registry", "docker pull")
    is_fix(checks.image(engine, "relay-nowhere/nothing:1", "never"), "docker pull")
    assert checks.image(engine, "debian").ok

    class Bare:
        def image_id(self, name: str) -> None:
            return None

    is_fix(checks.image(Bare(), "debian"), "relay image debian")  # type: ignore[arg-type]


def test_a_key_that_is_not_set() -> None:
    """By name; a value is never shown."""
    names = [("A_KEY",), ("B_KEY", "C_KEY")]
    check = checks.keys(names, {"A_KEY": "the-value"})
    is_fix(check, "B_KEY or C_KEY", "export B_KEY=")
    assert "the-value" not in f"{check}"
    assert checks.keys(names, {"A_KEY": "x", "C_KEY": "y"}).detail == "set: A_KEY, C_KEY"
    assert checks.any_key({}).ok
    assert checks.any_key({"OPENAI_API_KEY": "x"}).detail == "set: OPENAI_API_KEY"


def test_a_disk_that_is_nearly_full(tmp_path: Path) -> None:
    """Also of a folder that is not there yet: its parent's."""
    later = tmp_path / "not" / "yet"
    asked: list[Path] = []

    def free(folder: Path) -> int:
        asked.append(folder)
        return 10**9

    is_fix(checks.disk([later], free), "1.0 GB free", "relay clean")
    assert asked == [tmp_path]
    assert checks.disk([later], lambda folder: 10**12).ok


def test_a_clock_that_is_behind(tmp_path: Path) -> None:
    """Behind relay's own files, or behind the newest commit."""
    made = 1_700_000_000.0
    is_fix(checks.clock(None, 1_600_000_000.0, made), "2020-09-13", "set the clock")
    repository = open_repository(make(tmp_path))  # its commit is of January 2024
    is_fix(checks.clock(repository, 1_702_000_000.0, made), "2024-01-02", "set the clock")
    assert checks.clock(repository, time.time(), made).ok


def test_a_container_that_is_not_held(engine: Engine) -> None:
    """One that runs as root is told; one of an image that is not there cannot run."""
    image = engine.image_id(TAG)
    assert image
    assert checks.container(engine, image, "58271:58271").ok
    is_fix(checks.container(engine, image, "0:0"), "it runs as root", "do not run models here")
    is_fix(checks.container(engine, "relay-nowhere/nothing:1", "1:1"), "log")


def test_a_workspace_that_the_engine_cannot_see() -> None:
    """What the probe says is the line."""

    def probe() -> str:
        raise SandboxError("the engine cannot share /x")

    is_fix(checks.workspace(probe), "cannot share /x", "run relay where it runs")
    assert checks.workspace(lambda: "copy").ok


def _asked(role: Role) -> checks.Check:
    pipeline = Pipeline("p", None, {role.name: role}, SandboxPolicy(), {}, ())
    return ask_model(pipeline, role, {"SOME_KEY": "some-secret-key"})


def test_a_model_that_does_not_answer() -> None:
    """Nobody listens there: the network is named, not a traceback."""
    role = Role("local", "openai-compatible/m", base_url="http://127.0.0.1:9/v1", api_key_env="SOME_KEY")
    check = _asked(role)
    assert check.name == "model local"
    is_fix(check, "openai-compatible/m", "base-url")
    assert "some-secret-key" not in f"{check}"


def test_a_scripted_role_is_not_asked() -> None:
    """It plays from its file."""
    assert _asked(Role("player", "scripted/x.yaml")).ok


def test_root_is_nobody_inside() -> None:
    """Others are themselves."""
    assert inner_user(0, 0) == (58271, 58271)
    assert inner_user(1000, 1001) == (1000, 1001)


def doctor(repo: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    quiet = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    return subprocess.run(
        [RELAY, "doctor", *arguments, "--repo", repo],
        capture_output=True,
        text=True,
        env={**quiet, **more},
        cwd=repo,
        check=False,
    )


def test_on_a_machine_that_is_well_every_line_is_ok(tmp_path: Path) -> None:
    """Exit code 0, the same facts in JSON, and nothing left in the repository's state folder."""
    repo = make(tmp_path)
    done = doctor(repo, "--json")
    told = json.loads(done.stdout)
    assert (done.returncode, told["ok"]) == (0, True), told
    names = " ".join(check["name"] for check in told["checks"])
    assert names == "python git repository clock disk engine runc keys image sandbox workspace"
    assert list((repo / ".git" / "relay").glob("doctor-*")) == []


def test_a_machine_without_an_engine_is_exit_code_4(tmp_path: Path) -> None:
    """The other lines are still said."""
    done = doctor(make(tmp_path), DOCKER_HOST="unix:///nowhere.sock")
    assert done.returncode == 4
    assert "fix  engine" in done.stdout and "ok   git" in done.stdout
    assert "->" in done.stdout


def test_a_pipeline_with_mistakes_is_exit_code_2(tmp_path: Path) -> None:
    """Each mistake with its place, as validate says it."""
    repo = make(tmp_path / "repo")
    (repo / "p.yaml").write_text("version: 1\nrolls: {}\nbudget: 3\n")
    done = doctor(repo, "p.yaml")
    assert done.returncode == 2, done.stdout
    assert "fix  pipeline" in done.stdout
    assert "p.yaml:2:1:" in done.stdout and "p.yaml:3:" in done.stdout


def test_models_need_a_file(tmp_path: Path) -> None:
    """Without a pipeline there is nobody to ask."""
    done = doctor(make(tmp_path), "--models")
    assert done.returncode == 2
    assert "name its FILE" in done.stderr


TRIAL = """\
version: 1
roles: {{player: {{model: scripted/replies.yaml}}}}
sandbox: {{image: debian{setup}}}
gates: {{tests: {{run: {run}}}}}
stages: [{{plan: player}}, {{implement: player}}, {{test: tests}}, {{review: player}}, {{merge: squash}}]
"""


def tried(tmp_path: Path, *, run: str = "python -m pytest -q", setup: str = "") -> dict[str, dict[str, str]]:
    """The lines of `relay doctor FILE` by name."""
    repo = make(tmp_path / "repo", {"test_a.py": "def test_a(): pass\ndef test_old(): assert 0\n"})
    (repo / "replies.yaml").write_text("replies: [{role: player, step: 1, text: hello}]\n")
    (repo / "p.yaml").write_text(TRIAL.format(run=run, setup=f", setup: {setup}" if setup else ""))
    done = doctor(repo, "p.yaml", "--json")
    assert git(repo, "for-each-ref", "refs/relay", "refs/heads/relay") == ""
    assert list((repo / ".git" / "relay").glob("doctor-*")) == []
    return {check["name"]: check for check in json.loads(done.stdout)["checks"]} | {
        "exit": {"code": str(done.returncode)}
    }


def test_with_a_file_the_gates_run_on_the_target(tmp_path: Path) -> None:
    """Tests are counted, old reds too, and nothing of a run is left."""
    told = tried(tmp_path, setup="echo ready > /opt/ready")
    assert told["setup"]["ok"]
    assert told["gate tests"]["ok"], told
    assert told["gate tests"]["detail"].startswith("2 tests, 1 old reds, ")
    assert told["exit"]["code"] == "0"


def test_a_target_that_is_not_there(tmp_path: Path) -> None:
    """No branch is checked out, and the file names none: said once, and the gates are not asked."""
    repo = make(tmp_path / "repo", {"test_a.py": "def test_a(): pass\n"})
    git(repo, "checkout", "-q", "--detach")
    (repo / "replies.yaml").write_text("replies: [{role: player, step: 1, text: hello}]\n")
    (repo / "p.yaml").write_text(TRIAL.format(run="python -m pytest -q", setup=""))
    done = doctor(repo, "p.yaml", "--json")
    told = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert done.returncode == 4
    assert not told["target"]["ok"] and "gate tests" not in told
    assert "HEAD is detached" in told["target"]["detail"] and "git switch main" in told["target"]["fix"]


def test_a_gate_that_cannot_run_on_the_target(tmp_path: Path) -> None:
    """The command is not there: said before the first paid call, with the log."""
    told = tried(tmp_path, run="no-such-runner")
    assert not told["gate tests"]["ok"]
    assert "no-such-runner" in told["gate tests"]["detail"]
    assert "gates: tests: run" in told["gate tests"]["fix"]
    assert told["exit"]["code"] == "4"


def test_a_setup_that_fails(tmp_path: Path) -> None:
    """Its own words are shown."""
    told = tried(tmp_path, setup="echo no such package >&2; exit 3")
    assert not told["setup"]["ok"]
    assert "no such package" in told["setup"]["detail"]
    assert "sandbox: setup" in told["setup"]["fix"]
    assert told["exit"]["code"] == "4"
