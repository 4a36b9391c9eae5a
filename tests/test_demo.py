"""`make demo`, by the script that make runs: what it prints, what it leaves, and that real models can play it."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from pipelines.load import load
from tests import foreign
from tests.runner.models.fake_vendor import Call, FakeVendor

ROOT = Path(__file__).parent.parent
REPLIES = yaml.safe_load((ROOT / "demo" / "demo.replies.yaml").read_text())["replies"]
KEYS = {"ANTHROPIC_API_KEY", "GOOGLE_API_KEY", "GEMINI_API_KEY", "OPENAI_API_KEY"}


def demo(place: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name not in KEYS}
    kept |= {"DEMO_DIR": str(place / "demo"), "XDG_CACHE_HOME": str(place / "cache"), **environ}
    command = [str(ROOT / "scripts" / "demo"), *arguments]
    return subprocess.run(command, env=kept, capture_output=True, text=True, timeout=300)


def git(place: Path, *arguments: str) -> str:
    command = ["git", "-C", str(place / "demo" / "repo"), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_the_demo_tells_its_story_to_the_end(tmp_path: Path) -> None:
    """Red, sent back, approved; then a change on top; what landed, its trailers, its notes, the report."""
    ran = demo(tmp_path)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    story = ["gate tests failed (red)", "changes requested", "architect: approved", "cents-1   landed: commit"]
    story += ["cents-2   landed: commit"]
    places = [ran.stdout.index(part) for part in story]
    assert places == sorted(places)
    assert git(tmp_path, "branch", "--show-current").strip() == "work"
    for commit in git(tmp_path, "rev-list", "-2", "main").split():
        assert f"  {commit[:7]} " in ran.stdout
        assert git(tmp_path, "rev-parse", f"{commit}^{{tree}}")[:12] + " passed:" in ran.stdout
    assert all(f"{key}: " in ran.stdout for key in ("Relay-Run", "Relay-Change", "Reviewed-by", "Tested-by"))
    (report,) = (tmp_path / "demo" / "repo" / ".git" / "relay" / "runs").glob("*/report.html")
    assert str(report) in ran.stdout.splitlines()[-1]


def test_real_models_of_two_vendors_play_it(tmp_path: Path, vendor_server: FakeVendor) -> None:
    """The same pipeline with the models whose keys are set; here a local server speaks for both vendors."""
    calls = iter([list(reply["calls"]) for reply in REPLIES])
    foreign.plays(vendor_server, lambda about: [Call(call["tool"], call["args"]) for call in next(calls)])
    keys = {"ANTHROPIC_API_KEY": "sk-ant-demo-0123456789", "GEMINI_API_KEY": "gem-demo-0123456789"}
    ran = demo(tmp_path, "1", DEMO_BASE_URL=vendor_server.url, **keys)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    roles = load(tmp_path / "demo" / "pipeline.yaml").pipeline.roles
    assert {role.model.partition("/")[0] for role in roles.values()} == {"anthropic", "google"}
    assert {request.path.split("/")[1] for request in vendor_server.journal} == {"v1", "v1beta"}
    assert git(tmp_path, "rev-list", "--count", "main").strip() == "7"
    assert "at most $5.00" in ran.stdout


@pytest.mark.parametrize(
    ("keys", "architect", "implementer"),
    [
        ({"OPENAI_API_KEY": "k"}, "openai", "openai"),
        ({"OPENAI_API_KEY": "k", "GOOGLE_API_KEY": "k"}, "openai", "google"),
        ({"ANTHROPIC_API_KEY": "k"}, "anthropic", "anthropic"),
    ],
)
def test_the_models_are_those_whose_keys_are_set(
    tmp_path: Path, keys: Mapping[str, str], architect: str, implementer: str
) -> None:
    """Two vendors where two keys are set: they see more than one."""
    pipeline = tmp_path / "pipeline.yaml"
    pipeline.write_text((ROOT / "demo" / "pipeline.yaml").read_text())
    live = [str(ROOT / ".venv" / "bin" / "python"), str(ROOT / "demo" / "live.py"), str(pipeline)]
    subprocess.run(live, env={"PATH": os.environ["PATH"], **keys}, check=True, capture_output=True)
    roles = yaml.safe_load(pipeline.read_text())["roles"]
    assert roles["architect"]["model"].startswith(f"{architect}/")
    assert roles["implementer"]["model"].startswith(f"{implementer}/")


def test_without_any_key_live_is_refused(tmp_path: Path) -> None:
    """Before anything runs, naming the variables."""
    ran = demo(tmp_path, "1")
    assert ran.returncode == 2
    assert set(ran.stderr.split()) >= KEYS and "Traceback" not in ran.stderr
    assert not (tmp_path / "demo" / "repo" / ".git" / "relay").exists()
