"""What a container of ours is, by the engine's own account, and what code in it cannot do."""

from __future__ import annotations

import contextlib
import os
import threading
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from sandbox.base import Limits, SandboxError, SandboxSpec
from sandbox.command import Command, run_exec
from sandbox.docker import Engine
from sandbox.harden import create_request
from sandbox.workspace import probe
from tests.sandbox.conftest import MakeSpec
from tests.sandbox.room import GID, UID, Room

KEY = "sk-very-secret-key-of-the-user"


def seen_while(engine: Engine, label: str, act: Callable[[], object]) -> list[dict[str, Any]]:
    """Inspect each container with a label that exists at some moment while `act` runs."""
    found: dict[str, dict[str, Any]] = {}
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            for each in engine.containers(label):
                if each.id not in found:
                    with contextlib.suppress(SandboxError):  # gone already
                        found[each.id] = engine.inspect(each.id)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        act()
    finally:
        done.set()
        thread.join()
    return list(found.values())


def assert_hard(container: dict[str, Any], *, mounts: set[str]) -> None:
    """No key, no capability, not root, no network, limits set, and only these mounts."""
    host, config = container["HostConfig"], container["Config"]
    assert KEY not in str(container)
    assert not {name for name in os.environ if name.endswith(("_KEY", "_TOKEN"))} & {
        entry.split("=")[0] for entry in config["Env"]
    }
    assert config["User"] == f"{UID}:{GID}" and not config["User"].startswith("0:")
    assert host["CapDrop"] == ["ALL"] and not host["CapAdd"] and not host["Privileged"]
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert host["NetworkMode"] == "none" and set(container["NetworkSettings"]["Networks"]) <= {"none"}
    assert host["ReadonlyRootfs"] and host["Init"]
    assert host["PidMode"] == "" and host["UTSMode"] == "" and host["IpcMode"] == "private"
    assert not host["Devices"] and not host["Binds"]
    assert (
        host["Memory"] > 0 and host["MemorySwap"] == host["Memory"] and host["PidsLimit"] > 0 and host["NanoCpus"] > 0
    )
    assert {"core", "nofile", "fsize"} <= {limit["Name"] for limit in host["Ulimits"]}
    assert all("nosuid" in options and "nodev" in options for options in host["Tmpfs"].values())
    assert host["LogConfig"]["Type"] == "none"
    assert {mount["Destination"] for mount in container["Mounts"]} <= mounts
    assert {"relay.host", "relay.pid", "relay.start", "relay.kind"} <= set(config["Labels"])


def test_a_turns_container_is_hard(engine: Engine, room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the workspace is mounted."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    workspace = room.open("overlay", room.layer("base", {"a": "a"}))
    spec = SandboxSpec(room.image, f"{UID}:{GID}", (workspace.mount,), {"relay.run": "test", "relay.kind": "turn"})
    with engine.start(spec) as sandbox:
        assert_hard(engine.inspect(sandbox.id), mounts={"/work"})
        assert KEY.encode() not in sandbox.exec("env; cat /proc/*/environ 2>/dev/null", timeout=10).output


def test_a_volume_that_an_image_declares_is_in_memory_and_has_a_size(engine: Engine, spec: MakeSpec) -> None:
    """The engine would make one on its own disk, without a bound, for every container."""
    made = spec()
    tag = f"relay-test/volume:{uuid.uuid4().hex[:8]}"
    container = engine.create_raw({"Image": made.image, "Cmd": ["true"]})
    try:
        engine.commit(container, tag=tag, config={"Volumes": {"/var/lib/data": {}}})
    finally:
        engine.remove(container)
    try:
        with engine.start(replace(made, image=tag)) as sandbox:
            assert engine.inspect(sandbox.id)["Mounts"] == []
            done = sandbox.exec("head -c 999999999 /dev/zero >/var/lib/data/fill; echo $?", timeout=30)
        assert b"No space left" in done.output and done.output.endswith(b"1\n")
    finally:
        assert engine.remove_image(tag)


def test_a_gates_container_is_hard(engine: Engine, room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """The workspace and the result volume are mounted."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    workspace = room.open("copy", room.layer("base", {"a": "a"}))
    labels = {"relay.run": f"gate-{room.path.name}", "relay.kind": "gate"}
    spec = SandboxSpec(room.image, f"{UID}:{GID}", (workspace.mount,), labels)
    label = f"relay.run={labels['relay.run']}"
    seen = seen_while(engine, label, lambda: engine.run_command(spec, "sleep 1", timeout=10))
    assert len(seen) == 1
    assert_hard(seen[0], mounts={"/work", "/relay"})


def test_a_probes_container_is_hard(engine: Engine, room: Room) -> None:
    """The machine is looked at with nothing less."""
    seen = seen_while(engine, f"relay.pid={os.getpid()}", lambda: probe(engine, room.image, room.path, UID, GID))
    for each in [each for each in seen if each["Config"]["Labels"]["relay.kind"] == "probe"]:
        assert_hard(each, mounts={"/work"})


def test_nothing_of_the_host_is_in_the_environment(engine: Engine, spec: MakeSpec) -> None:
    """relay's few defaults, the image's own, and what the policy says on top."""
    with engine.start(replace(spec(), env={"FOO": "bar", "LANG": "C"})) as sandbox:
        said = sandbox.exec("env", timeout=10).output.decode().splitlines()
    env = dict(line.partition("=")[::2] for line in said)
    assert (env["FOO"], env["LANG"], env["HOME"], env["USER"]) == ("bar", "C", "/home/relay", "relay")
    assert env["PATH"].startswith("/opt/venv/bin:")
    expected = {"FOO", "LANG", "HOME", "USER", "LOGNAME", "PATH", "PWD", "HOSTNAME", "OLDPWD", "SHLVL", "_"}
    assert {name for name in env if not name.startswith("GIT_")} <= expected


ATTACKS = {
    "writes the root": "echo x >/usr/bin/x",
    "becomes root": "su -c id || sudo -n id || setpriv --reuid 0 id",
    "mounts": "mkdir -p /tmp/m && mount -t tmpfs none /tmp/m",
    "makes a device": "mknod /tmp/sda b 8 0",
    "gets capabilities": "grep -q 'CapEff:.*[1-9a-f]' /proc/self/status",
    "makes a user namespace with rights": "unshare -Urm mount -t tmpfs none /mnt",
    "reaches the network": "python3 -c \"import socket; socket.create_connection(('172.17.0.1', 22), 2)\"",
    "finds an interface": "ls /sys/class/net | grep -v '^lo$'",
    "finds the engine's socket": "ls /var/run/docker.sock /run/docker.sock 2>/dev/null | grep sock",
    "sees other processes": "test $(ls /proc | grep -c '^[0-9]') -gt 20",
    "runs setuid": "cp /bin/sh /tmp/s && chmod 4755 /tmp/s && chown 0 /tmp/s",
    "writes kernel settings": "echo 1 >/proc/sys/kernel/panic || echo x >/proc/sysrq-trigger",
    "sets the kernel's core handler": "echo '|/tmp/x' >/proc/sys/kernel/core_pattern",
    "writes its own cgroup": "cd /sys/fs/cgroup; echo max >pids/pids.max || echo max >pids.max",
    "reads the kernel's memory": "head -c 1 /proc/kcore >/dev/null || head -c 1 /dev/mem || dmesg",
    "raises its limits": "ulimit -c 1000 && ulimit -n 999999",
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_code_in_a_sandbox_tries_does_not_work(engine: Engine, spec: MakeSpec, attack: str) -> None:
    """Each is a command that would succeed where the defence is missing."""
    with engine.start(spec()) as sandbox:
        assert sandbox.exec(ATTACKS[attack], timeout=20).status != 0


def test_the_attacks_bite_where_the_defences_are_missing(engine: Engine, spec: MakeSpec) -> None:
    """The same commands against the same container without hardening: most succeed, so they test something."""
    request: Any = create_request(spec(), ("/bin/sh", "-c", "sleep 300"), cpus=engine.info().cpus)
    request["User"] = "0:0"
    request["HostConfig"] |= {"ReadonlyRootfs": False, "CapDrop": [], "SecurityOpt": [], "NetworkMode": "bridge"}
    request["HostConfig"] |= {"Ulimits": [], "Tmpfs": {}}
    container = engine.create_raw(request)
    bitten = set()
    try:
        engine.start_container(container)
        for attack in sorted(set(ATTACKS) - {"writes kernel settings"}):
            if run_exec(engine, container, Command(ATTACKS[attack], 20, 1000, workdir="/tmp")).status == 0:
                bitten.add(attack)
    finally:
        engine.remove(container)
    assert bitten >= {
        "writes the root",
        "becomes root",
        "makes a device",
        "gets capabilities",
        "finds an interface",
        "runs setuid",
    }


def test_scripts_in_tmp_run(engine: Engine, spec: MakeSpec) -> None:
    """A tmpfs is noexec by default; tests in pytest's tmp_path need more."""
    with engine.start(spec()) as sandbox:
        done = sandbox.exec("printf '#!/bin/sh\\necho ran\\n' >/tmp/s && chmod +x /tmp/s && /tmp/s", timeout=10)
    assert done.output == b"ran\n"


def test_more_cpus_than_there_are_is_no_error(engine: Engine, spec: MakeSpec) -> None:
    """A policy of 64 CPUs works on a laptop."""
    with engine.start(spec(limits=Limits(cpus=1000, memory=2**28, pids=64))) as sandbox:
        assert sandbox.exec("echo hi", timeout=10).status == 0


def test_network_full_is_the_only_way_out(engine: Engine, spec: MakeSpec) -> None:
    """Asked for, there is an interface; everything else stays as hard."""
    with engine.start(replace(spec(), network="full")) as sandbox:
        assert sandbox.exec("ls /sys/class/net | grep -v '^lo$'", timeout=10).status == 0
        host = engine.inspect(sandbox.id)["HostConfig"]
    assert host["NetworkMode"] == "bridge" and host["CapDrop"] == ["ALL"] and host["ReadonlyRootfs"]
