"""A script of ours, run as root in a container: for files of the host that are not this user's to move or remove."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox.base import SandboxError
from sandbox.debian import LABEL
from sandbox.harden import root_request

if TYPE_CHECKING:
    from sandbox.docker import Engine


def as_root(
    engine: Engine, directory: Path, script: str, arguments: Sequence[str] = (), *, image: str | None = None
) -> None:
    """Run `script` with `directory` mounted at /mnt, in `image` where that is still there, else in any other.

    Raises SandboxError when it fails.
    """
    container = _made(engine, directory, script, arguments, image)
    try:
        engine.start_container(container)
        status = engine.wait(container)
    finally:
        engine.remove(container)
    if status:
        raise SandboxError(f"cannot clean up {directory} (status {status}): remove it as root")


def _made(engine: Engine, directory: Path, script: str, arguments: Sequence[str], image: str | None) -> str:
    # Somebody may remove an image at any moment; then the next one does.
    others = (each.id for each in sorted(engine.images(), key=lambda each: LABEL not in each.labels))
    for chosen in (*([image] if image else []), *others):
        if engine.image_id(chosen) is not None:
            with contextlib.suppress(SandboxError):
                return engine.create_raw(root_request(chosen, directory, script, arguments))
    raise SandboxError(f"no image to clean up {directory} with: remove it as root")
