"""Environments: a base image and what setup made of it for one tree, built once and kept by key.

Setup runs as a command in a container that is then committed, not as a Dockerfile: what it needs to get out (proxy,
private CA, index addresses) stays out of the image. What it writes outside of the tree becomes the image; what it
writes into the tree becomes `extras`, a layer below every workspace.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import stat
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from sandbox.access import AT, HostAccess
from sandbox.asroot import as_root
from sandbox.base import Mount, SandboxError
from sandbox.command import Command, CommandEnd, run_exec
from sandbox.debian import ensure_debian
from sandbox.environments import LABEL, Environment, filled, found, tag_of
from sandbox.harden import SETUP_HOME, setup_request
from sandbox.overlay import remove_home
from sandbox.trees import look, on_disk, own, remove_tree
from sandbox.workspace import Backend, Workspace, open_workspace, probe

if TYPE_CHECKING:
    from sandbox.docker import Engine

__all__ = [
    "Environment",
    "HostAccess",
    "SetupFailed",
    "build_environment",
    "ensure_image",
    "find_environment",
]

_RECIPE = "1"  # part of every key: what relay itself does around setup
_LOG = 256 * 1024  # bytes of setup's output that are kept
_SHOWN = 20  # lines of it that the sentence of a failure ends with
# The owner's labels would otherwise be inherited by whatever somebody runs from the image, and be reaped.
_FORGET = dict.fromkeys(("relay.host", "relay.pid", "relay.start", "relay.run", "relay.kind"), "")


class SetupFailed(Exception):
    """The setup command did not end with 0; `log` is its output, head and tail. The text shows the end of it."""

    def __init__(self, what: str, log: str) -> None:
        end = "\n".join(log.rstrip().splitlines()[-_SHOWN:])
        super().__init__(f"setup {what}:\n{end}" if end else f"setup {what}")
        self.log = log


def ensure_image(
    engine: Engine, name: str, *, pull: Literal["missing", "never", "always"], on_line: Callable[[str], None]
) -> str:
    """The id of a base image, made (`debian`) or pulled as the policy says. Raises SandboxError with what to do."""
    if name == "debian":
        return ensure_debian(engine, on_line)
    found = engine.image_id(name)
    if found is not None and pull != "always":
        return found
    if pull == "never":
        raise SandboxError(f"no image {name} is here, and `pull: never` forbids to fetch it: `docker pull {name}`")
    on_line(f"pulling {name}")
    try:
        return engine.pull(name, on_line)
    except SandboxError as error:
        raise SandboxError(
            f"{error}; where no registry answers, use `image: debian`, which relay makes itself"
        ) from error


def find_environment(
    engine: Engine, *, base_image: str, setup: str | None, key: str, uid: int, gid: int, cache: Path
) -> Environment | None:
    """What `build_environment` made for the same, None where it has to be built. Raises SandboxError."""
    name = _name(base_image, setup, key, uid, gid)
    if not setup or not setup.strip():
        return Environment(base_image, None, name, "")
    with on_disk(cache):
        return found(engine, cache / "extras", name)


def _name(base_image: str, setup: str | None, key: str, uid: int, gid: int) -> str:
    parts = (_RECIPE, key, base_image, setup or "", f"{uid}:{gid}")
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def build_environment(
    engine: Engine,
    *,
    base_image: str,
    setup: str,
    key: str,
    tree: Path,
    uid: int,
    gid: int,
    cache: Path,
    host: HostAccess,
    on_line: Callable[[str], None],
    gitdir: Path | None = None,
    backend: Backend | None = None,
    timeout: float = 3600.0,
    labels: Mapping[str, str] | None = None,
) -> Environment:
    """The environment for `key`, built now if it is not there; of two processes that ask, one builds.

    `tree` is the base directory of the whole tree, mounted at /work with `gitdir` below it; `backend` None: probed.
    `labels` mark setup's container. Lines of setup's output go to `on_line`. Raises SetupFailed for what setup does,
    within `timeout` seconds, SandboxError for machinery.
    """
    ready = find_environment(engine, base_image=base_image, setup=setup, key=key, uid=uid, gid=gid, cache=cache)
    if ready is not None:
        return ready
    name, folder = _name(base_image, setup, key, uid, gid), cache / "extras"
    with on_disk(folder), _alone(folder, name, on_line):
        ready = found(engine, folder, name)
        if ready is not None:
            return ready
        home = folder / f"{name}.building"
        remove_home(engine, home, image=base_image)  # of a process that was killed
        try:
            workspace = open_workspace(
                engine,
                backend or probe(engine, base_image, folder, uid, gid),
                home=home / "workspace",
                base=tree,
                extras=None,
                gitdir=gitdir,
                name=f"relay-setup-{uuid.uuid4().hex[:16]}",
                uid=uid,
                gid=gid,
            )
            build = _Build(engine, base_image, name, home, workspace, host, on_line, labels or {})
            return build.environment(setup, timeout, tree, uid, gid, folder)
        finally:
            remove_home(engine, home, image=base_image)


@dataclass(frozen=True)
class _Build:
    engine: Engine
    base_image: str
    name: str
    home: Path
    workspace: Workspace
    host: HostAccess
    on_line: Callable[[str], None]
    labels: Mapping[str, str]

    def environment(self, setup: str, timeout: float, tree: Path, uid: int, gid: int, folder: Path) -> Environment:
        """Run setup, and keep its image, what it left in the tree, and its log below `folder`."""
        try:
            try:
                image, log = self.image(setup, timeout)
            finally:
                self.workspace.detach()
            self.extras(tree, uid, gid, folder / self.name)
            (folder / f"{self.name}.log").write_text(log)
        except BaseException:
            self.engine.remove_image(tag_of(self.name))
            raise
        return Environment(image, filled(folder / self.name), self.name, log)

    def image(self, setup: str, timeout: float) -> tuple[str, str]:
        """Run setup and keep what it made: the image's id and setup's log."""
        env = self.host.lay_out(self.home / "access")
        mounts = (self.workspace.mount, Mount("bind", str((self.home / "access").absolute()), AT, read_only=True))
        info = self.engine.info()
        request = setup_request(self.base_image, mounts, self.labels, cpus=info.cpus, memory=info.memory // 4 * 3)
        container = self.engine.create_raw(request)
        try:
            self.engine.start_container(container)
            path = self._path()
            env.update({"PIP_NO_CACHE_DIR": "1"})  # pages of a private index would stay in the image
            env.update({"HOME": SETUP_HOME, "USER": "root", "LOGNAME": "root", "LANG": "C.UTF-8", "PATH": path})
            # The tree belongs to the sandbox's user, and git asks root to trust it (safe.directory).
            env.update({"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"})
            lines = _Lines(self.on_line)
            ended = run_exec(
                self.engine, container, Command(setup, timeout, _LOG, env, user="0:0"), on_output=lines.add
            )
            lines.end()
            log = _log(ended)
            if ended.end != "exited" or ended.status != 0:
                raise SetupFailed(_what(ended, timeout), log)
            run_exec(self.engine, container, Command(f"chmod -R a+rX {SETUP_HOME}", 600, 4096, user="0:0"))
            labels = {**_FORGET, LABEL: self.name}
            config = {"Env": [f"PATH={path}"], "WorkingDir": "/work", "Labels": labels}
            return self.engine.commit(container, tag=tag_of(self.name), config=config), log
        finally:
            self.engine.remove(container)

    def extras(self, tree: Path, uid: int, gid: int, target: Path) -> None:
        """Move what setup left in the tree, and the tree itself has not, to `target`, as the sandbox's user's."""
        # Setup is root: its files are not this user's to move.
        inner = self.home / "workspace"
        give = 'chown -hR "$1" /mnt/upper /mnt/tree 2>/dev/null; :'
        as_root(self.engine, inner, give, (f"{uid}:{gid}",), image=self.base_image)
        fresh = self.home / "extras"
        fresh.mkdir()
        own(fresh, uid, gid)
        base, root = os.fsencode(tree), os.fsencode(fresh)
        for change in self.workspace.changes().present:
            if change.kind in ("file", "symlink") and look(base, change.path) == "absent":
                _make_parents(root, change.path, uid, gid)
                file = Path(os.fsdecode(change.host))
                if change.kind == "file":
                    file.chmod(stat.S_IMODE(file.lstat().st_mode) & 0o777)  # nothing in the cache runs as its owner
                file.rename(os.fsdecode(root + b"/" + change.path))
        remove_tree(target)
        fresh.rename(target)

    def _path(self) -> str:
        image = self.engine.image(self.base_image)
        if image is None:
            raise SandboxError(f"the image {self.base_image} is gone")
        entries = dict(entry.partition("=")[::2] for entry in image["Config"].get("Env") or ())
        found = entries.get("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        own_bin = f"{SETUP_HOME}/.local/bin"
        return found if own_bin in found.split(":") else f"{found}:{own_bin}"


class _Lines:
    """Output in pieces, told on as lines of at most 2000 characters."""

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self._on_line = on_line
        self._rest = b""

    def add(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._on_line(line[:2000].decode(errors="replace").rstrip("\r"))
        if len(self._rest) > 2000:
            self.end()

    def end(self) -> None:
        if self._rest:
            self._on_line(self._rest[:2000].decode(errors="replace"))
        self._rest = b""


def _what(ended: CommandEnd, timeout: float) -> str:
    if ended.end == "timeout":
        return f"did not end within {timeout:g} s"
    return f"failed with status {ended.status}" if ended.status is not None else "was killed"


def _log(ended: CommandEnd) -> str:
    text = ended.output.decode(errors="replace")
    return f"{text}\n({ended.omitted} bytes of output left out in the middle)" if ended.omitted else text


def _make_parents(root: bytes, path: bytes, uid: int, gid: int) -> None:
    at = root
    for part in path.split(b"/")[:-1]:
        at = at + b"/" + part
        folder = Path(os.fsdecode(at))
        if not folder.exists():
            folder.mkdir()
            own(folder, uid, gid)


@contextmanager
def _alone(folder: Path, name: str, on_line: Callable[[str], None]) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{name}.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_line("another process builds this environment: waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
