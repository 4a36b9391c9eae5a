"""Environments: built once, offline afterwards, nothing of the host kept in them."""

from __future__ import annotations

import stat
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import pytest

from sandbox import shell
from sandbox.access import HostAccess
from sandbox.base import SandboxError, SandboxSpec
from sandbox.command import Command, run_exec
from sandbox.debian import LABEL as BASE_LABEL
from sandbox.docker import Engine, connect
from sandbox.environments import list_environments, prune
from sandbox.harden import PREPARE, setup_request
from sandbox.image import Environment, SetupFailed, build_environment, ensure_image
from sandbox.workspace import Backend, probe
from tests.sandbox.registry import Registry
from tests.sandbox.room import GID, UID, Room


class Builder:
    """Builds in a room, and forgets what was built."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.lines: list[str] = []
        self.built: list[Environment] = []

    def __call__(
        self, base: Path, setup: str, *, key: str = "", backend: Backend = "overlay", **more: object
    ) -> Environment:
        settings: dict[str, object] = {"host": HostAccess(), "timeout": 120.0, **more}
        made = build_environment(
            self.room.engine,
            base_image=self.room.image,
            setup=setup,
            key=key or uuid.uuid4().hex,
            tree=base,
            uid=UID,
            gid=GID,
            cache=self.room.path / "cache",
            on_line=self.lines.append,
            backend=backend,
            **settings,  # type: ignore[arg-type]
        )
        self.built.append(made)
        return made


@pytest.fixture
def build(room: Room) -> Iterator[Builder]:
    builder = Builder(room)
    yield builder
    keys = {made.key for made in builder.built}
    prune(room.engine, room.path / "cache", keep=lambda kept: kept.key not in keys)


@pytest.mark.parametrize("backend", ["overlay", "copy"])
def test_what_setup_leaves_is_there_in_a_sandbox(build: Builder, room: Room, backend: Backend) -> None:
    """Outside the tree in the image, in the tree as a layer below, in its home as links in the sandbox's home."""
    base = room.layer("base", {"a": "tracked", "pkg/m": "m"})
    setup = """
        echo outside >/opt/outside; echo inside >inside; mkdir -p pkg/egg; echo e >pkg/egg/info; echo changed >a
        mkdir -p ~/.local/bin ~/.cache/pkgs; printf '#!/bin/sh\\necho tool\\n' >~/.local/bin/tool
        chmod 700 ~/.local/bin/tool
        echo c >~/.cache/pkgs/c; echo rc >~/.toolrc; cat a m 2>/dev/null; rm pkg/m; pwd
    """
    made = build(base, setup, backend=backend)
    assert made.log == "changed\n/work\n"
    workspace = room.open(backend, base, extras=made.extras)
    spec = SandboxSpec(made.image_id, f"{UID}:{GID}", (workspace.mount,), {"relay.kind": "turn"})
    with room.engine.start(spec) as sandbox:
        command = "cat /opt/outside inside pkg/egg/info a pkg/m; echo; tool; cat ~/.cache/pkgs/c ~/.toolrc"
        done = sandbox.exec(f"{command}; echo n >~/n; echo new >~/.cache/pkgs/d && cat ~/.cache/pkgs/d", timeout=10)
    assert done.output == b"outside\ninside\ne\ntrackedm\ntool\nc\nrc\nnew\n" and done.status == 0
    assert [change.path for change in workspace.changes().present if change.path not in (b"a", b"pkg/m")] == []


def test_a_home_with_very_many_files_costs_a_start_nothing(
    build: Builder, room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then whole directories are links, which cannot be written into; tried with fewer, to be quick."""
    setup = "mkdir -p ~/many ~/.cache/few; cd ~/many; seq 210 | xargs touch; echo c >~/.cache/few/c"
    made = build(room.layer("base", {"a": "a"}), setup)
    monkeypatch.setattr(shell, "PREPARE", PREPARE.replace("20000", "200").replace("20001", "201"))
    spec = SandboxSpec(made.image_id, f"{UID}:{GID}", (), {"relay.kind": "turn"}, workdir="/tmp")
    with room.engine.start(spec) as sandbox:
        done = sandbox.exec("readlink ~/many; ls ~/many | wc -l; cat ~/.cache/few/c; echo x >~/.cache/x", timeout=20)
    assert (done.output, done.status) == (b"/opt/relay/home/many\n210\nc\n", 0)


def test_an_environment_is_built_once(build: Builder, room: Room) -> None:
    """The second time it is found, and two at once build one."""
    base = room.layer("base", {"a": "a"})
    setup = "echo $$ >/opt/who; head -c 20 /dev/urandom | base64 >stamp; sleep 0.5"
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: build(base, setup, key="same-" + room.path.name), range(2))
    assert first == second == build(base, setup, key="same-" + room.path.name)
    assert "another process builds this environment: waiting for it" in build.lines
    other = build(base, setup, key="other-" + room.path.name)
    assert other.image_id != first.image_id


def test_setup_that_fails_shows_its_log(build: Builder, room: Room) -> None:
    """With its status; nothing is kept of it."""
    base = room.layer("base", {"a": "a"})
    with pytest.raises(SetupFailed, match="failed with status 3") as failed:
        build(base, "echo looking; echo not found >&2; exit 3")
    assert failed.value.log == "looking\nnot found\n" and build.lines == ["looking", "not found"]
    with pytest.raises(SetupFailed, match="did not end within 1 s"):
        build(base, "echo begun; sleep 60", timeout=1.0)
    assert sorted(path.suffix for path in (room.path / "cache" / "extras").iterdir()) == [".lock", ".lock"]


def test_nothing_of_the_host_stays_in_the_image(build: Builder, room: Room) -> None:
    """Proxy, CA bundle and index address reach setup; neither settings, history nor any file of a layer holds them."""
    bundle = room.path / "ca.pem"
    bundle.write_text("-----BEGIN CERTIFICATE-----\nPRIVATE-CA\n-----END CERTIFICATE-----\n")
    environ = {"HTTPS_PROXY": "http://user:pw@proxy.example:3128", "SSL_CERT_FILE": str(bundle), "SECRET_KEY": "k"}
    host = HostAccess.of(environ, pip_config="global.index-url='https://user:pw@index.example/simple'\n")
    setup = 'echo "$HTTPS_PROXY $PIP_INDEX_URL $SECRET_KEY"; cat "$PIP_CERT" "$NODE_EXTRA_CA_CERTS" "$SSL_CERT_FILE"'
    made = build(room.layer("base", {"a": "a"}), setup, host=host)
    assert made.log.startswith("http://user:pw@proxy.example:3128 https://user:pw@index.example/simple \n")
    assert made.log.count("PRIVATE-CA") == 3
    config = room.engine.image(made.image_id)
    assert config is not None and not config["Config"]["Volumes"]
    history = room.engine._client.history(made.image_id)
    assert len(history) >= 2
    for word in ("proxy.example", "index.example", "PRIVATE-CA", "SECRET_KEY"):
        assert word not in str(config) and word not in str(history)
    spec = SandboxSpec(made.image_id, f"{UID}:{GID}", (), {"relay.kind": "turn"}, workdir="/")
    with room.engine.start(spec) as sandbox:
        assert b"example" not in sandbox.exec("env", timeout=60).output
    words = "grep -rslE 'pw@(proxy|index)|PRIVATE[-]CA' --exclude-dir=proc --exclude-dir=sys /; env | grep -c pw@"
    container = room.engine.create_raw(setup_request(made.image_id, (), {"relay.kind": "test"}, cpus=1, memory=2**29))
    try:
        room.engine.start_container(container)
        found = run_exec(room.engine, container, Command(words, 120, 10_000, user="0:0", workdir="/"))
    finally:
        room.engine.remove(container)
    assert found.output == b"0\n"


def test_index_addresses_that_are_paths_are_dropped() -> None:
    """A directory of the host means nothing in a container."""
    said = "global.index-url='file:///opt/simple'\ninstall.extra-index-url='https://a.example/s file:///x'\n:env:.cert='/c'\n"
    found = HostAccess.of(
        {"UV_INDEX_URL": "/srv/x", "GOPROXY": "https://go.example,direct", "PATH": ""}, pip_config=said
    )
    assert found.env == {"PIP_EXTRA_INDEX_URL": "https://a.example/s", "GOPROXY": "https://go.example,direct"}


def test_environments_are_listed_and_pruned(build: Builder, room: Room) -> None:
    """By relay's own label; one that a container uses stays, and so does the base, made anew or not."""
    made = build(room.layer("base", {"a": "a"}), "echo x >made")
    assert made.key in {kept.key for kept in list_environments(room.engine)}
    spec = SandboxSpec(made.image_id, f"{UID}:{GID}", (), {"relay.kind": "turn"}, workdir="/")
    cache = room.path / "cache"
    with room.engine.start(spec):
        assert prune(room.engine, cache, keep=lambda kept: kept.key != made.key) == ()
    assert prune(room.engine, cache, keep=lambda kept: kept.key != made.key) == (made.key,)
    assert room.engine.image_id(made.image_id) is None and not (cache / "extras" / made.key).exists()


def test_what_setup_leaves_runs_as_nobody_else(build: Builder, room: Room) -> None:
    """A layer in the cache can be reached by others of the machine: no bit in it gives them its owner's rights."""
    made = build(room.layer("base", {"a": "a"}), "cp /bin/true tool; chmod 6755 tool; mkfifo fifo; ln -s /etc/x link")
    assert made.extras is not None
    modes = {path.name: stat.S_IMODE(path.lstat().st_mode) for path in made.extras.iterdir()}
    assert modes == {"tool": 0o755, "link": 0o777}


def test_a_base_that_was_made_anew_stays_while_somebody_is_at_work_in_it(build: Builder, room: Room) -> None:
    """Removing an environment takes no image along that only its id names by now; pruning takes it, once it is free."""
    engine, base = room.engine, room.layer("base", {"a": "a"})
    tag = f"relay-test/base:{room.path.name}"
    first = room.image
    old = room.image = _image(engine, first, tag, "old")
    made = build(base, "echo x >/opt/made")
    assert _image(engine, first, tag, "new") != old
    assert engine.remove_image(f"relay/env:{made.key}")
    spec = SandboxSpec(old, f"{UID}:{GID}", (), {"relay.kind": "turn"}, workdir="/")
    cache = room.path / "cache"
    with engine.start(spec) as sandbox:
        assert sandbox.exec("cat /opt/which", timeout=10).output == b"old\n"
        assert prune(engine, cache, keep=lambda kept: kept.image_id != old) == ()
    assert prune(engine, cache, keep=lambda kept: kept.image_id != old) == (old,)
    assert engine.remove_image(tag)


def _image(engine: Engine, base: str, tag: str, word: str) -> str:
    container = engine.create_raw(setup_request(base, (), {"relay.kind": "test"}, cpus=1, memory=2**29))
    try:
        engine.start_container(container)
        run_exec(engine, container, Command(f"echo {word} >/opt/which", 60, 1000, user="0:0", workdir="/"))
        return engine.commit(container, tag=tag, config={"Labels": {BASE_LABEL: "test", "relay.host": ""}})
    finally:
        engine.remove(container)


def test_a_registry_is_asked_as_often_as_the_policy_says(engine: Engine, place: Path) -> None:
    """missing: once. never: not at all. always: each time, and what is newer there is taken.

    This one has no sh, which is told as that.
    """
    with Registry() as registry:
        name = f"127.0.0.1:{registry.port}/relay-test:1"
        lines: list[str] = []

        def ensure(pull: Literal["missing", "never", "always"]) -> str:
            return ensure_image(engine, name, pull=pull, on_line=lines.append)

        pulled: list[str] = []
        try:
            with pytest.raises(SandboxError, match="`pull: never` forbids"):
                ensure("never")
            assert registry.asked == 0
            pulled.append(ensure("missing"))
            asked = registry.asked
            assert asked > 0 and lines[0] == f"pulling {name}"
            registry.content = uuid.uuid4().bytes
            assert ensure("missing") == pulled[0] == ensure("never") and registry.asked == asked
            pulled.append(ensure("always"))
            assert pulled[1] != pulled[0] and registry.asked > asked
            with pytest.raises(SandboxError, match=r"^the image has no /bin/sh"):
                probe(engine, pulled[1], place, UID, GID)
        finally:
            kept = [image for image in pulled if not engine.remove_image(image)]
            assert kept == []
    with pytest.raises(SandboxError, match="cannot pull"):
        ensure("always")


def test_an_image_that_is_not_to_be_had_says_what_to_do(image: str) -> None:
    """Never: how to fetch it. Missing: that `debian` needs no registry."""
    with connect() as engine:
        assert ensure_image(engine, "debian", pull="missing", on_line=print) == image
        assert ensure_image(engine, "relay/debian:1", pull="never", on_line=print) == image
        with pytest.raises(SandboxError, match="`pull: never` forbids"):
            ensure_image(engine, "relay-test/none:1", pull="never", on_line=print)
        with pytest.raises(SandboxError, match="`image: debian`"):
            ensure_image(engine, "localhost:1/none:1", pull="missing", on_line=print)


def test_an_image_run_by_somebody_else_is_nobodys_to_reap(build: Builder, room: Room, engine: Engine) -> None:
    """The labels of the process that built it are not inherited."""
    made = build(room.layer("base", {"a": "a"}), "true")
    config = engine.image(made.image_id)
    assert config is not None
    assert {config["Config"]["Labels"].get(name) for name in ("relay.host", "relay.pid", "relay.kind")} == {""}
