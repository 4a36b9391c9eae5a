"""What makes a container safe to run a model's code: one function from a spec to the engine's own create request.

Raw JSON of the Docker Engine API (`ContainerCreate`), so that what is asked can be read here without the SDK.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from pathlib import Path

from sandbox.base import Mount, SandboxSpec
from sandbox.reap import owner_labels

HOME = "/home/relay"
SETUP_HOME = "/opt/relay/home"  # what setup left in its home directory; linked into HOME when a container starts
SPOOL = "/run/relay"
_DEFAULTS = {
    "HOME": HOME,
    "USER": "relay",
    "LOGNAME": "relay",
    "LANG": "C.UTF-8",
    "GIT_AUTHOR_NAME": "relay",
    "GIT_AUTHOR_EMAIL": "sandbox@relay.invalid",
    "GIT_COMMITTER_NAME": "relay",
    "GIT_COMMITTER_EMAIL": "sandbox@relay.invalid",
}
_MIB = 1024**2

# Lays out what setup left in its home directory in the fresh, writable one: real directories with links in them, so
# that tools can write beside what is there (Go's build cache, npm, cargo). Where that would be too many, links to whole
# directories; `.cache` stays a real one, since nearly every tool writes there.
_MOST_LINKS = 20_000
PREPARE = f"""
h={SETUP_HOME}
if [ -d $h ] && ! {{ [ "$(find $h 2>/dev/null | head -n {_MOST_LINKS + 1} | wc -l)" -le {_MOST_LINKS} ] &&
    cp -rs $h/. "$HOME/" 2>/dev/null; }}; then
    for f in $h/* $h/.[!.]*; do
        case $f in $h/.cache) continue ;; esac
        [ -e "$f" ] && ln -s "$f" "$HOME/"
    done
    if [ -d $h/.cache ]; then
        mkdir -p "$HOME/.cache"
        for f in $h/.cache/*; do [ -e "$f" ] && ln -s "$f" "$HOME/.cache/"; done
    fi
fi 2>/dev/null
"""


def _tmpfs(spec: SandboxSpec, volumes: Sequence[str]) -> dict[str, str]:
    """The writable places. What the image declares as a volume is one too, of a size: the engine's would have none."""
    uid, gid = spec.user.split(":")
    size = max(64 * _MIB, min(1024 * _MIB, spec.limits.memory // 4))
    # exec: scripts in pytest's tmp_path and compiled tests must run; a tmpfs is noexec by default.
    common = "rw,exec,nosuid,nodev"
    taken = {mount.target for mount in spec.mounts}
    declared = {posixpath.normpath(path) for path in volumes} - taken
    return {
        **dict.fromkeys(sorted(declared), f"{common},size={size},mode=1777"),
        "/tmp": f"{common},size={size},mode=1777",
        HOME: f"{common},size={size},mode=0700,uid={uid},gid={gid}",
        SPOOL: f"{common},size={64 * _MIB},mode=0700,uid={uid},gid={gid}",
    }


def mount_request(mount: Mount) -> dict[str, object]:
    """A mount as the engine wants it. Nothing is copied from the image into a volume."""
    request: dict[str, object] = {
        "Type": mount.kind,
        "Source": mount.source,
        "Target": mount.target,
        "ReadOnly": mount.read_only,
    }
    if mount.kind == "volume":
        request["VolumeOptions"] = {"NoCopy": True}
    return request


def environment(env: Mapping[str, str]) -> list[str]:
    """The environment of a container, built from nothing: relay's defaults and what the policy says."""
    return [f"{name}={value}" for name, value in {**_DEFAULTS, **env}.items()]


def create_request(
    spec: SandboxSpec, entrypoint: Sequence[str], *, cpus: float, volumes: Sequence[str] = ()
) -> dict[str, object]:
    """The hardened container for `spec`, running `entrypoint`.

    `cpus` is what the engine has: more is refused by it. `volumes` are those that the image declares.
    """
    limits = spec.limits
    return {
        "Image": spec.image,
        "Entrypoint": list(entrypoint),
        "Cmd": [],
        "User": spec.user,
        "WorkingDir": spec.workdir,
        "Env": environment(spec.env),
        "Labels": dict(spec.labels),
        "Tty": False,
        "OpenStdin": True,
        "StdinOnce": True,  # when relay is gone, stdin ends and with it the agent: nothing is left running
        "AttachStdin": True,
        "AttachStdout": True,
        "AttachStderr": True,
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": {
            "NetworkMode": "none" if spec.network == "none" else "bridge",
            "ReadonlyRootfs": True,
            "Privileged": False,
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges"],
            "IpcMode": "private",
            "Init": True,
            "Memory": limits.memory,
            "MemorySwap": limits.memory,
            "NanoCpus": int(min(limits.cpus, cpus) * 1e9),
            "PidsLimit": limits.pids,
            "Ulimits": [
                {"Name": "core", "Soft": 0, "Hard": 0},
                {"Name": "nofile", "Soft": 16384, "Hard": 16384},
                {"Name": "fsize", "Soft": 8 * 1024 * _MIB, "Hard": 8 * 1024 * _MIB},
            ],
            "Tmpfs": _tmpfs(spec, volumes),
            "Mounts": [mount_request(mount) for mount in spec.mounts],
            "LogConfig": {"Type": "none", "Config": {}},
        },
    }


def root_request(image: str, directory: Path, script: str, arguments: Sequence[str]) -> dict[str, object]:
    """A container for a script of ours, never a model's: root with the few rights that files of other users need."""
    return {
        "Image": image,
        "Entrypoint": ["/bin/sh", "-c", script, "relay", *arguments],
        "Cmd": [],
        "User": "0:0",
        "WorkingDir": "/",
        "Labels": {**owner_labels(), "relay.kind": "files"},
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": {
            "NetworkMode": "none",
            "ReadonlyRootfs": True,
            "CapDrop": ["ALL"],
            "CapAdd": ["CHOWN", "DAC_OVERRIDE", "FOWNER"],
            "SecurityOpt": ["no-new-privileges"],
            "Memory": 512 * _MIB,
            "PidsLimit": 64,
            "Mounts": [mount_request(Mount("bind", str(directory.absolute()), "/mnt"))],
            "LogConfig": {"Type": "none", "Config": {}},
        },
    }


def setup_request(
    image: str, mounts: Sequence[Mount], labels: Mapping[str, str], *, cpus: float, memory: int
) -> dict[str, object]:
    """The container that setup runs in: root, with network and a writable root, since it installs things.

    It has no environment of ours: what setup needs comes with the command, so that nothing of it stays in the image.
    """
    return {
        "Image": image,
        "Entrypoint": ["/bin/sh", "-c", f"mkdir -p {SETUP_HOME} && exec sleep 2147483647"],
        "Cmd": [],
        "User": "0:0",
        "WorkingDir": "/work",
        "Labels": {**owner_labels(), **labels},
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": {
            "NetworkMode": "bridge",
            "SecurityOpt": ["no-new-privileges"],
            "Init": True,
            "Memory": memory,
            "MemorySwap": memory,
            "NanoCpus": int(cpus * 1e9),
            "PidsLimit": 4096,
            "Mounts": [mount_request(mount) for mount in mounts],
            "LogConfig": {"Type": "none", "Config": {}},
        },
    }
