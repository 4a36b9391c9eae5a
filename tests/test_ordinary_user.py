"""The main job as an ordinary user who only is in the engine's group: relay needs no root."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
USER = 58398  # nobody's
SOCKET = Path("/var/run/docker.sock")

# An interpreter and a clone that may lie where only root can look, shown to the user for as long as the command runs.
_AS_USER = """
mount --bind "$1" "$3/relay" && mount --bind "$2" "$3/python" && shift 3 || exit 99
exec setpriv --reuid={user} --regid={user} --groups={engine} --inh-caps=-all --no-new-privs "$@"
"""


@pytest.fixture
def home() -> Iterator[Path]:
    """A directory that belongs to the user, outside of anybody's home."""
    place = Path(tempfile.mkdtemp(prefix="relay-user-", dir="/var/tmp"))
    place.chmod(0o755)
    for name in ("relay", "python", "home"):
        (place / name).mkdir(mode=0o755)
    if os.getuid() == 0:
        os.chown(place / "home", USER, USER)
    yield place
    shutil.rmtree(place)


def as_user(home: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command in the user's home with relay and python on PATH. Whoever is no root runs it as they are."""
    own = home / "home"
    clean = {"HOME": str(own), "LANG": "C.UTF-8", "RELAY": str(ROOT), "PATH": os.environ["PATH"]}
    if os.getuid() != 0:
        clean["PATH"] = f"{ROOT / '.venv' / 'bin'}:{clean['PATH']}"
        return subprocess.run(command, cwd=own, env=clean, capture_output=True, text=True, timeout=300)
    script = _AS_USER.format(user=USER, engine=SOCKET.stat().st_gid)
    packages = next((ROOT / ".venv" / "lib").glob("python*/site-packages")).relative_to(ROOT)
    clean |= {
        "PATH": f"{home}/bin:{home}/python/bin:/usr/local/bin:/usr/bin:/bin",
        "PYTHONHOME": f"{home}/python",
        "LD_LIBRARY_PATH": f"{home}/python/lib",
        "PYTHONPATH": f"{home}/relay:{home}/relay/{packages}",
        "RELAY": f"{home}/relay",
    }
    (home / "bin").mkdir(exist_ok=True)
    start = home / "bin" / "relay"
    start.write_text(
        f"#!/bin/sh\nexec {home}/python/bin/python3 -P -c 'from runner.cli.main import main; main()' \"$@\"\n"
    )
    start.chmod(0o755)
    shown = (str(ROOT), sys.base_prefix, str(home))
    wrapped = ("unshare", "--mount", "--propagation=private", "sh", "-c", script, "sh", *shown)
    return subprocess.run([*wrapped, *command], cwd=own, env=clean, capture_output=True, text=True, timeout=300)


def test_the_main_job_needs_no_root(home: Path) -> None:
    """From the demo's task to two landed commits; everything that relay made belongs to the user and can be removed."""
    laid_out = as_user(
        home,
        "sh",
        "-euc",
        'test "$(id -u)" != 0; "$RELAY/demo/build" repo; cp "$RELAY"/demo/*.yaml .; cp -r "$RELAY/demo/tasks" .',
    )
    assert laid_out.returncode == 0, laid_out.stderr
    ran = as_user(home, "relay", "pipeline", "run", "pipeline.yaml", "--repo", "repo", "--json")
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    assert [change["outcome"] for task in told["tasks"] for change in task["changes"]] == ["landed", "landed"]
    log = as_user(home, "git", "-C", "repo", "log", "-2", "--format=%(trailers:key=Tested-by,valueonly)", "main")
    assert log.stdout.count("relay gate tests") == 2
    owners = {path.lstat().st_uid for path in (home / "home").rglob("*")}
    assert owners == {(home / "home").stat().st_uid}
    gone = as_user(home, "sh", "-c", "rm -rf repo .cache")
    assert gone.returncode == 0, gone.stderr
