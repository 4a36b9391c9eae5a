"""The scripts of the bootstrap, on a PATH of fakes: what they say before they do it, and where they may do nothing.

No engine is touched and nothing is installed.
"""

import importlib.machinery
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent
PLAIN = ("sh", "dirname", "sed", "tr", "cat", "uname", "touch", "echo", "env")


def machine(folder: Path, **commands: str) -> dict[str, str]:
    """An environment whose PATH has the plain tools and `commands`, each the body of a shell script."""
    tools = folder / "tools"
    tools.mkdir()
    for name in PLAIN:
        (tools / name).symlink_to(shutil.which(name) or f"/bin/{name}")
    for name, body in commands.items():
        path = tools / name.replace("_", "-")
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
    return {"PATH": str(tools), "DID": str(folder / "did"), "HOME": str(folder)}


def script(name: str, environ: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(ROOT / "scripts" / name), *arguments]
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60)


DEBIAN = {
    "dpkg_query": '[ "$4" = there ] && echo installed || exit 1',
    "apt_cache": 'echo "  Candidate: 1.0"',
    "apt_get": 'echo "apt-get $*" >> "$DID"',
}


def test_what_is_installed_is_left_alone(tmp_path: Path) -> None:
    """Nothing is said, nothing is done."""
    environ = machine(tmp_path, id="echo 0", **DEBIAN)
    ran = script("install", environ, "there")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    assert not Path(environ["DID"]).exists()


def test_root_on_debian_is_told_before_anything_is_installed(tmp_path: Path) -> None:
    """Only what is missing, without questions and without what is merely recommended."""
    environ = machine(tmp_path, id="echo 0", **DEBIAN)
    ran = script("install", environ, "there", "docker.io")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == "relay: apt-get install docker.io\n"
    (did,) = Path(environ["DID"]).read_text().splitlines()
    assert "install -y --no-install-recommends docker.io" in did and "there" not in did


def test_old_package_lists_are_brought_up_to_date_once(tmp_path: Path) -> None:
    """A mirror that has moved on answers the first attempt with an error."""
    fails_once = 'echo "apt-get $*" >> "$DID"; case "$*" in *" update") touch "$DID.new";; *) [ -e "$DID.new" ];; esac'
    environ = machine(tmp_path, id="echo 0", **{**DEBIAN, "apt_get": fails_once})
    ran = script("install", environ, "docker.io")
    assert ran.returncode == 0, ran.stderr
    assert "once more with fresh package lists: apt-get update" in ran.stdout
    assert [line.split()[-1] for line in Path(environ["DID"]).read_text().splitlines()] == [
        "docker.io",
        "update",
        "docker.io",
    ]


@pytest.mark.parametrize(
    ("commands", "told"),
    [
        (DEBIAN, "sudo apt-get update && sudo apt-get install -y --no-install-recommends docker.io mmdebstrap"),
        ({"dnf": "exit 9"}, "sudo dnf install -y moby-engine mmdebstrap"),
        ({"pacman": "exit 9"}, "sudo pacman -S --needed docker mmdebstrap"),
        ({}, "package manager"),
    ],
)
def test_who_may_not_install_gets_the_command_of_their_system(
    tmp_path: Path, commands: Mapping[str, str], told: str
) -> None:
    """Exit code 4, nothing changed."""
    environ = machine(tmp_path, id="echo 1000", **commands)
    ran = script("install", environ, "docker.io", "mmdebstrap")
    assert ran.returncode == 4
    assert told in ran.stderr and "docker.io mmdebstrap" in ran.stderr
    assert not Path(environ["DID"]).exists()


@pytest.mark.parametrize(
    ("python", "told"),
    [
        ("", "there is no python-of-mine here"),
        ('[ "$1" = -V ] && echo Python 3.9.2; exit 1', "relay needs Python 3.11"),
    ],
)
def test_a_python_that_does_not_do_is_named(tmp_path: Path, python: str, told: str) -> None:
    """Before anything is made."""
    environ = machine(tmp_path, **({"python_of_mine": python} if python else {}))
    ran = script("venv", environ, str(tmp_path / "venv"), "python-of-mine")
    assert ran.returncode == 4
    assert told in ran.stderr
    assert not (tmp_path / "venv").exists()


def test_a_python_without_venv_has_it_installed_or_says_how(tmp_path: Path) -> None:
    """Debian's python3 comes without."""
    lacks = 'case "$2" in *ensurepip*) exit 1;; esac'
    environ = machine(tmp_path, id="echo 1000", python3=lacks, **DEBIAN)
    ran = script("venv", environ, str(tmp_path / "venv"), "python3")
    assert ran.returncode == 4
    assert "cannot make virtual environments" in ran.stdout
    assert "sudo apt-get install -y --no-install-recommends python3-venv" in ran.stderr


def engine() -> ModuleType:
    """scripts/engine as a module, without running it."""
    loader = importlib.machinery.SourceFileLoader("script_engine", str(ROOT / "scripts" / "engine"))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def test_an_engine_that_is_named_and_does_not_answer_is_not_replaced(tmp_path: Path) -> None:
    """Whoever sets DOCKER_HOST means that engine."""
    environ = {**machine(tmp_path, **DEBIAN), "DOCKER_HOST": f"unix://{tmp_path}/no.sock"}
    ran = subprocess.run([sys.executable, ROOT / "scripts" / "engine"], env=environ, capture_output=True, text=True)
    assert ran.returncode == 4
    assert f"DOCKER_HOST=unix://{tmp_path}/no.sock" in ran.stderr and "unset DOCKER_HOST" in ran.stderr
    assert not Path(environ["DID"]).exists()


def test_the_commands_to_type_are_those_of_the_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Packages of Debian, Fedora and Arch have other names."""
    monkeypatch.setenv("PATH", machine(tmp_path, pacman="exit 9")["PATH"])
    assert engine().commands()[0] == "run: sudo pacman -S --needed docker"


def test_a_detached_engine_holds_nothing_of_its_caller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No descriptor, no terminal, nothing of make's: the log file is its only output."""
    (tmp_path / "look.py").write_text(
        "import os\n"
        "make = [name for name in os.environ if name.startswith('MAKE')]\n"
        "print(len(os.listdir('/proc/self/fd')), os.getsid(0) == os.getpid(), os.getcwd(), make, flush=True)\n"
    )
    looks = f"exec {sys.executable} {tmp_path}/look.py"
    environ = machine(tmp_path, dockerd=looks)
    monkeypatch.setenv("PATH", environ["PATH"])
    monkeypatch.setenv("MAKEFLAGS", "-j --jobserver-fds=3,4")
    inherited = os.open(os.devnull, os.O_RDONLY)
    os.set_inheritable(inherited, True)
    module = engine()
    module.LOG = tmp_path / "dockerd.log"
    process = module.detach()
    assert process.wait(timeout=60) == 0
    os.close(inherited)
    # 0, 1, 2, and the folder that is being listed.
    assert module.LOG.read_text() == "4 True / []\n"
