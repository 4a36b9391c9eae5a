"""What the engine says, as values: about itself, a container, an exec, and things found by label."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class EngineInfo:
    """What the engine says about itself. `missing` names the limits of DESIGN's sandbox that it cannot enforce."""

    version: str
    cgroup: str  # "1" or "2"
    storage: str
    cpus: float
    memory: int  # bytes
    runtimes: tuple[str, ...]
    security: tuple[str, ...]
    missing: tuple[str, ...]


_LIMITS = {"memory": "MemoryLimit", "swap": "SwapLimit", "cpus": "CpuCfsQuota", "pids": "PidsLimit"}


def engine_info(said: Mapping[str, Any]) -> EngineInfo:
    """From the engine's own JSON (Docker Engine API, `SystemInfo`)."""
    return EngineInfo(
        version=said["ServerVersion"],
        cgroup=said.get("CgroupVersion", "1"),
        storage=said["Driver"],
        cpus=float(said["NCPU"]),
        memory=int(said["MemTotal"]),
        runtimes=tuple(sorted(said.get("Runtimes", {}))),
        security=tuple(said.get("SecurityOptions") or ()),
        missing=tuple(name for name, key in _LIMITS.items() if not said.get(key)),
    )


@dataclass(frozen=True)
class ExecState:
    """The engine's word on an exec: does it run, and what did it end with."""

    running: bool
    status: int | None


@dataclass(frozen=True)
class Labelled:
    """A container, volume or image found by its labels."""

    id: str
    labels: Mapping[str, str]
    tags: tuple[str, ...] = ()
    created: float = 0.0  # seconds since the epoch
    size: int = 0  # bytes


@dataclass(frozen=True)
class ContainerState:
    """What the engine says about a container. `status` is the exit status of its main process once it has ended."""

    running: bool
    status: int
    oom: bool
