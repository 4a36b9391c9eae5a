"""Who a container belongs to, by its labels, and the removal of what a process that is gone left behind."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox.base import SandboxError

if TYPE_CHECKING:
    from sandbox.docker import Engine

_LABEL = "relay.host"


@dataclass(frozen=True)
class Owner:
    """A process of a host. `start` tells it from a later one of the same number, across reboots too."""

    run: str
    host: str
    pid: int
    start: str


def owner_labels(*, pid: int | None = None) -> dict[str, str]:
    """The labels that say which process made a container: `relay.host`, `relay.pid`, `relay.start`."""
    number = os.getpid() if pid is None else pid
    return {_LABEL: socket.gethostname(), "relay.pid": str(number), "relay.start": _start_of(number)}


def is_alive(owner: Owner) -> bool:
    """Whether the process that made something still runs. One of another host counts as alive: nobody here can know."""
    return owner.host != socket.gethostname() or _start_of(owner.pid) == owner.start


def is_me(owner: Owner) -> bool:
    """Whether this process made it."""
    return (owner.host, owner.pid, owner.start) == (socket.gethostname(), os.getpid(), _start_of(os.getpid()))


def reap(engine: Engine, *, is_alive: Callable[[Owner], bool] = is_alive) -> list[str]:
    """Remove containers and volumes of owners that are gone; their ids and names. Files of workspaces stay.

    What cannot be removed now (somebody else removes it, the disk is busy) is left to the next time.
    """
    gone: list[str] = []
    for each in engine.containers(_LABEL):
        gone += _removed(each.id, each.labels, is_alive, engine.remove)
    for each in engine.volumes(_LABEL):
        gone += _removed(each.id, each.labels, is_alive, engine.remove_volume)
    return gone


def _removed(
    name: str, labels: Mapping[str, str], is_alive: Callable[[Owner], bool], remove: Callable[[str], None]
) -> list[str]:
    pid = labels.get("relay.pid", "")
    if not labels.get(_LABEL) or not pid.isdigit():
        return []  # an image of ours, run by somebody else: it inherits empty labels
    if is_alive(Owner(labels.get("relay.run", ""), labels[_LABEL], int(pid), labels.get("relay.start", ""))):
        return []
    try:
        remove(name)
    except SandboxError:
        return []
    return [name]


def _start_of(pid: int) -> str:
    """Boot id and start time in ticks since boot (proc(5), stat field 22); "" when there is no such process."""
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2]
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()}:{after_name.split()[19]}"
    except OSError:
        return ""
