"""A model that fills every disk it can reach: it is told, the run ends by name, and goes on once there is room."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.playing import Play, approve, bash, done, edit, play

FILL = "head -c 2000000000 /dev/zero >/tmp/fill; head -c 2000000000 /dev/zero >big; df -h . /tmp; rm /tmp/fill"


def as_root(*command: str | Path) -> None:
    """Mounting is root's; an ordinary user's suite asks sudo."""
    subprocess.run([*([] if os.getuid() == 0 else ["sudo", "-n"]), *command], check=True)


@pytest.fixture
def story(tmp_path: Path) -> Iterator[Play]:
    """A repository whose state folder is a disk of its own, of 12 MB."""
    made = play(tmp_path)
    state = made.repo / ".git" / "relay"
    state.mkdir(mode=0o700)
    as_root("mount", "-t", "tmpfs", "-o", f"size=12m,mode=0700,uid={os.getuid()}", "none", state)
    yield made
    as_root("umount", state)


def test_a_model_that_fills_the_disk_is_told_and_the_run_goes_on_when_there_is_room(story: Play) -> None:
    """/tmp has a size of its own; the workspace's disk is relay's too, which then cannot keep what a model said."""
    long = bash(": " + "y" * 300_000)
    story.says("implementer", bash(FILL), long, bash("rm big"), [edit("shop.py", "items'", "pcs'"), done("Shorter.")])
    story.says("implementer", [edit("tests/test_shop.py", "items'", "pcs'"), done("And its test.")], round=2)
    story.says("reviewer", approve("tests/test_shop.py"))
    before = story.git("rev-parse", "main")
    told = story.run("--may-change", "tests/**")
    assert (told.code, told.outcome) == (4, "broken"), told.err
    assert "No space left on device" in told.err and "relay resume" in told.err and "Traceback" not in told.err
    assert story.git("rev-parse", "main") == before
    as_root("mount", "-o", "remount,size=100m", story.repo / ".git" / "relay")
    told = story.relay("resume", "--json")
    assert (told.code, told.outcome) == (0, "landed"), told.err
    assert "2 pcs" in story.show("tests/test_shop.py") and "big" not in story.files()
    assert "No space left on device" in story.kept("r1.1.implement/transcript.jsonl")
