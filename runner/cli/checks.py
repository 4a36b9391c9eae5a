"""What `relay doctor` looks at, one function for each line. Each gives a Check and never raises for what it finds."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from runner.git.command import GitError
from runner.git.history import commit, resolve, tree_of
from runner.git.repo import NEEDED, Repository, open_repository
from runner.git.survey import facts_at_start, uncommitted
from sandbox.base import Limits, SandboxError, SandboxSpec
from sandbox.docker import Engine
from sandbox.versions import in_registry, versions

NEEDED_PYTHON = (3, 11)

NEEDED_DISK = 5 * 1000**3  # bytes
FIXED_RUNC = (1, 1, 12)  # CVE-2024-21626: a leaked descriptor gave the host's file system
KEYS = ("ANTHROPIC_API_KEY", "GOOGLE_API_KEY", "GEMINI_API_KEY", "OPENAI_API_KEY")
BOUNDS = Limits(cpus=1.0, memory=256 * 1024**2, pids=64, output=64 * 1024)

# Prints what should not be: the user, capabilities, network interfaces, a writable root.
_PROBE = r"""
test "$(id -u)" != 0 || echo 'it runs as root'
grep -q '^CapEff:[[:space:]]*0*$' /proc/self/status || echo 'it has capabilities'
grep -q '^NoNewPrivs:[[:space:]]*1$' /proc/self/status || echo 'it can gain privileges'
grep -v -e lo: -e '|' /proc/net/dev | grep -q . && echo 'it has a network'
(: > /relay-probe) 2>/dev/null && echo 'it can write into its root'
:
"""


@dataclass(frozen=True)
class Check:
    """One line. `fix` says what to do and is empty when `ok`."""

    name: str
    ok: bool
    detail: str
    fix: str = ""


def python(version: tuple[int, ...]) -> Check:
    """relay's own interpreter."""
    shown = ".".join(map(str, version[:3]))
    if version[:2] < NEEDED_PYTHON:
        return Check("python", False, shown, "install Python 3.11 or newer and relay into a virtual environment of it")
    return Check("python", True, shown)


def git(path: str | None = None) -> Check:
    """The git on `path` (the PATH of this process)."""
    where = shutil.which("git", path=path)
    if not where:
        return Check("git", False, "there is no git in PATH", "install git (Debian, Ubuntu: apt-get install -y git)")
    said = subprocess.run([where, "--version"], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    found = re.search(r"(\d+)\.(\d+)\S*", said.stdout)
    if not found or (int(found[1]), int(found[2])) < NEEDED:
        shown = said.stdout.strip() or said.stderr.strip() or f"{where} does not work"
        return Check("git", False, shown, f"install git {NEEDED[0]}.{NEEDED[1]} or newer")
    return Check("git", True, found[0])


def repository(path: Path) -> Check:
    """The repository, and what of it a sandbox will not see."""
    try:
        opened = open_repository(path)
        tip = resolve(opened, "HEAD")
        if tip is None:
            return Check("repository", False, f"HEAD of {path} names no commit", "check out a branch: git switch main")
        facts = facts_at_start(opened, tree_of(opened, tip))
        dirty = uncommitted(opened)
    except GitError as error:
        sentence, _, todo = str(error).partition(": ")
        return Check("repository", False, sentence, todo or "see `git status` there")
    told = [f"{len(dirty)} uncommitted files, not seen by a run"] if dirty else []
    told += [f"{len(facts.submodules)} submodules, empty for the tests"] if facts.submodules else []
    told += ["LFS files, pointers for the tests"] if facts.lfs else []
    told += [word for word, holds in (("shallow clone", facts.shallow), ("sparse checkout", facts.sparse)) if holds]
    return Check("repository", True, "; ".join([str(opened.work_tree or opened.common_dir), *told]))


def engine(connect: Callable[[], Engine], environment: Mapping[str, str]) -> tuple[Check, Engine | None]:
    """The engine and the connection to it, None when it does not answer."""
    opened = None
    try:
        opened = connect()
        info, parts = opened.info(), versions(opened)
    except SandboxError as error:
        if opened is not None:
            opened.close()
        sentence, _, todo = str(error).partition(": ")
        return Check("engine", False, sentence, todo or "run: make engine"), None
    where = environment.get("DOCKER_HOST", "")
    told = [f"{parts['platform']} {info.version}", info.storage, f"cgroup v{info.cgroup}"]
    told += ["rootless"] if any("rootless" in each for each in info.security) else []
    told += ["Podman: not tried by relay's authors"] if "podman" in " ".join(parts).lower() else []
    told += [f"remote ({where}): workspaces must be shared with it"] if where and "unix://" not in where else []
    return limits("engine", ", ".join(told), info.missing), opened


def limits(name: str, detail: str, missing: Sequence[str]) -> Check:
    """Whether the engine can hold a sandbox to its limits; `missing` are those that it cannot."""
    if missing:
        fix = "enable these cgroup controllers in the kernel (boot with cgroup_enable=memory swapaccount=1)"
        return Check(name, False, f"{detail}; cannot enforce: {', '.join(missing)}", fix)
    return Check(name, True, detail)


def runc(parts: Mapping[str, str]) -> Check:
    """The part that starts containers, as `sandbox.versions` reports it."""
    version = parts.get("runc", "")
    numbers = re.match(r"v?(\d+)\.(\d+)\.(\d+)", version)
    if not numbers:
        return Check("runc", True, "the engine does not name its version")
    if tuple(map(int, numbers.groups())) >= FIXED_RUNC:
        return Check("runc", True, version)
    if re.search(r"\+deb\d+u[1-9]|ubuntu", version):
        return Check("runc", True, f"{version}, a distribution's build that has the fix of CVE-2024-21626")
    return Check("runc", False, f"{version} is older than 1.1.12 (CVE-2024-21626)", "upgrade runc, then restart docker")


def image(engine: Engine, name: str, pull: str = "missing") -> Check:
    """The base image of sandboxes; `pull` as the pipeline says it."""
    from sandbox.debian import TAG

    debian = name == "debian"
    try:
        found = engine.image_id(TAG if debian else name)
        if found:
            return Check("image", True, f"{name} ({found.removeprefix('sha256:')[:12]})")
        if not debian and pull != "never" and in_registry(engine, name):
            return Check("image", True, f"{name}, to be pulled at the first run")
    except SandboxError as error:
        return Check("image", False, str(error), "start the engine")
    if debian:
        return Check("image", False, "the base image `debian` is not there", "run: relay image debian")
    return Check(
        "image",
        False,
        f"{name} is not there and no registry gives it",
        f"run: docker pull {name}, or use image: debian",
    )


def keys(names: Sequence[tuple[str, ...]], environment: Mapping[str, str]) -> Check:
    """API keys by the names of their variables, never their values; each entry of `names` needs one of its own."""
    present = [name for group in names for name in group if environment.get(name)]
    lacking = [" or ".join(group) for group in names if not any(environment.get(name) for name in group)]
    if lacking:
        return Check("keys", False, f"not set: {', '.join(lacking)}", f"run: export {lacking[0].split()[0]}=...")
    return Check("keys", True, f"set: {', '.join(present)}" if present else "none needed")


def any_key(environment: Mapping[str, str]) -> Check:
    """Without a pipeline file nobody knows which keys are needed, so none is missed."""
    present = [name for name in KEYS if environment.get(name)]
    return Check(
        "keys",
        True,
        f"set: {', '.join(present)}" if present else "none is set; relay doctor FILE says which are needed",
    )


def disk(folders: Sequence[Path], free: Callable[[Path], int], needed: int = NEEDED_DISK) -> Check:
    """Free space where relay writes; `free` gives bytes."""
    room = {folder: free(_existing(folder)) for folder in folders}
    tight = [f"{folder} has {size / 1e9:.1f} GB free" for folder, size in room.items() if size < needed]
    if tight:
        fix = f"make room to at least {needed / 1e9:.0f} GB: relay clean, docker system df"
        return Check("disk", False, "; ".join(tight), fix)
    return Check("disk", True, f"{min(room.values()) / 1e9:.0f} GB free")


def clock(repository: Repository | None, now: float, released: float) -> Check:
    """Budgets, time limits and records need a clock that is not behind what has already happened."""
    shown = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(now))
    fix = "set the clock: timedatectl set-ntp true"
    if now < released - 86400:
        return Check("clock", False, f"{shown}, before this relay was made", fix)
    if repository is not None and (tip := resolve(repository, "HEAD")):
        newest = commit(repository, tip).when
        if newest > now + 86400:
            day = time.strftime("%Y-%m-%d", time.gmtime(newest))
            return Check("clock", False, f"{shown}, but the newest commit is of {day}", fix)
    return Check("clock", True, shown)


def container(engine: Engine, image: str, user: str) -> Check:
    """One run of a hardened container, seen from inside."""
    spec = SandboxSpec(image=image, user=user, mounts=(), labels={"relay.kind": "probe"}, limits=BOUNDS, workdir="/tmp")
    began = time.monotonic()
    try:
        ran = engine.run_command(spec, _PROBE, timeout=60)
    except SandboxError as error:
        return Check("sandbox", False, str(error), "see the engine's log (journalctl -u docker, /var/log/dockerd.log)")
    said = ran.output.decode(errors="replace").strip()
    if ran.end != "exited" or ran.status != 0 or said:
        what = said.replace("\n", ", ") or f"the probe ended with {ran.end} {ran.status}"
        return Check("sandbox", False, what, "do not run models here: this engine does not hold what it is asked")
    return Check("sandbox", True, f"a hardened container ran in {time.monotonic() - began:.1f} s")


def workspace(probe: Callable[[], str]) -> Check:
    """Which back end workspaces use here; `probe` tries it on the engine."""
    try:
        kind = probe()
    except (SandboxError, OSError) as error:
        return Check("workspace", False, str(error), "the engine must see this file system: run relay where it runs")
    told = {"overlay": "overlay", "copy": "copy of the tree (no overlay here: slower on large repositories)"}
    return Check("workspace", True, told[kind])


def _existing(folder: Path) -> Path:
    return next(each for each in (folder, *folder.parents) if each.exists())
