"""What the engine says of itself and of registries, for `relay doctor` and `relay init`. Asked rarely."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import requests.exceptions

from sandbox.base import SandboxError
from sandbox.docker import Engine


def versions(engine: Engine) -> Mapping[str, str]:
    """The version of each part by its name (`Engine`, `containerd`, `runc`), as the engine reports it.

    Where a part names the package that it was built from, that is the version: a distribution mends without a new
    upstream number. `platform` is the engine's own name. Raises SandboxError when the engine does not answer.
    """
    try:
        said: dict[str, Any] = engine._client.version()
    except (requests.exceptions.RequestException, OSError) as error:
        raise SandboxError(f"the Docker engine does not answer: {error}") from error
    found = {"platform": str((said.get("Platform") or {}).get("Name") or "Docker")}
    for part in said.get("Components") or ():
        commit = str((part.get("Details") or {}).get("GitCommit") or "")
        packaged = commit if commit.startswith(str(part["Version"])) else ""
        found[str(part["Name"])] = packaged or str(part["Version"])
    return found


def in_registry(engine: Engine, image: str) -> bool:
    """Whether a registry would give `image` to the engine now. Downloads nothing; waits for one answer."""
    try:
        engine._client.inspect_distribution(image)  # type: ignore[no-untyped-call]
    except (requests.exceptions.RequestException, OSError):
        return False
    return True
