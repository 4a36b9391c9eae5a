"""The main job through the front door: the real command, real git, real containers, scripted replies."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
RELAY = ROOT / ".venv" / "bin" / "relay"


@pytest.fixture
def demo(tmp_path: Path) -> Path:
    """The demo's repository and pipeline, as `make demo` lays them out."""
    subprocess.run([ROOT / "demo" / "build", tmp_path / "repo"], check=True, capture_output=True)
    for name in ("pipeline.yaml", "demo.replies.yaml"):
        shutil.copy(ROOT / "demo" / name, tmp_path / name)
    shutil.copytree(ROOT / "demo" / "tasks", tmp_path / "tasks")
    return tmp_path


def command(demo: Path) -> list[str]:
    return [str(RELAY), "pipeline", "run", str(demo / "pipeline.yaml"), "--repo", str(demo / "repo"), "--json"]


def environment(demo: Path) -> dict[str, str]:
    return {**os.environ, "XDG_CACHE_HOME": str(demo / "cache")}


def relay(demo: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(RELAY), *arguments], capture_output=True, text=True, timeout=300, env=environment(demo), cwd=demo / "repo"
    )


def run(demo: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(demo), capture_output=True, text=True, timeout=300, env=environment(demo))


def git(demo: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", "-C", str(demo / "repo"), *arguments], check=True, capture_output=True, text=True
    ).stdout


def untouched(demo: Path) -> dict[str, bytes]:
    """What a run must leave as it was, byte for byte: work tree, index, config, hooks, logs, HEAD."""
    repo = demo / "repo"
    files = [path for path in repo.rglob("*") if path.is_file() and ".git" not in path.relative_to(repo).parts]
    files += [repo / ".git" / name for name in ("index", "config", "HEAD")]
    files += [path for part in ("hooks", "logs") for path in (repo / ".git" / part).rglob("*") if path.is_file()]
    return {str(path): path.read_bytes() for path in files if "logs/refs/heads/main" not in str(path)}


def assert_landed(demo: Path, ran: subprocess.CompletedProcess[str], branch: str = "main") -> None:
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    assert told["outcome"] == "landed"
    assert [change["outcome"] for task in told["tasks"] for change in task["changes"]] == ["landed", "landed"]
    log = git(demo, "log", "-2", "--format=%(trailers:key=Relay-Change,valueonly,separator=%x2C)", branch)
    assert log.split("\n")[:2] == ["cents-2 2/2", "cents-1 1/2"]
    for commit in git(demo, "rev-list", "-2", branch).split():
        trailers = git(demo, "log", "-1", "--format=%(trailers:only)", commit)
        assert all(f"{key}: " in trailers for key in ("Relay-Run", "Relay-Change", "Reviewed-by", "Tested-by"))
        note = git(
            demo, "notes", "--ref=refs/notes/relay/gate", "show", git(demo, "rev-parse", f"{commit}^{{tree}}").strip()
        )
        assert '"status": "passed"' in note


def test_two_changes_land_on_a_target_that_is_not_checked_out(demo: Path) -> None:
    """Red, sent back, approved; then a second change on top: and nothing else of the repository is touched."""
    before = untouched(demo)
    assert_landed(demo, run(demo))
    assert untouched(demo) == before
    told = json.loads(relay(demo, "status", "--json").stdout)
    assert told["tasks"][0]["changes"][0]["rounds"] == 3
    head = git(demo, "for-each-ref", "--format=%(refname)", "refs/relay").split()
    assert any(name.endswith("/journal") for name in head)
    first = git(demo, "rev-list", "--reverse", "main..." + next(n for n in head if n.endswith("heads/cents-1"))).split()
    kinds = [
        git(demo, "log", "-1", "--format=%(trailers:key=Relay-Kind,valueonly)", commit).strip() for commit in first
    ]
    assert "spec" in kinds
    assert git(demo, "branch", "--list", "relay/*") == ""


def test_a_target_that_is_checked_out_moves_only_by_relay_land(demo: Path) -> None:
    """Approved work waits on relay/<run>/landed, and comes in when the user says so."""
    git(demo, "switch", "-q", "main")
    main, before = git(demo, "rev-parse", "main"), untouched(demo)
    ran = run(demo)
    told = json.loads(ran.stdout)
    assert_landed(demo, ran, told["landing_branch"])
    assert git(demo, "rev-parse", "main") == main
    assert untouched(demo) == before
    assert told["bring_in"]
    assert relay(demo, "land").returncode == 0
    assert git(demo, "log", "-1", "--format=%s", "main").strip() == "Print totals by month with --monthly"
    assert git(demo, "status", "--porcelain") == ""


def test_a_spoiled_fix_does_not_land(demo: Path) -> None:
    """The replies carry no effect of their own: the workspace and the gate decide."""
    replies = demo / "demo.replies.yaml"
    text = replies.read_text()
    assert "divmod(cents, people)" in text
    replies.write_text(text.replace("divmod(cents, people)", "divmod(cents + 1, people)"))
    ran = run(demo)
    assert ran.returncode != 0
    assert git(demo, "rev-list", "--count", "main").strip() == "5"


def test_a_second_start_names_the_first(demo: Path) -> None:
    """Exit code 5 at once."""
    from runner.lock import Holder, locked

    state = demo / "repo" / ".git" / "relay"
    state.mkdir(mode=0o700)
    with locked(state / "lock", Holder("r20260101-0000-abcd", os.getpid(), "here", 0.0)):
        ran = run(demo)
    assert ran.returncode == 5
    assert "r20260101-0000-abcd" in ran.stderr
