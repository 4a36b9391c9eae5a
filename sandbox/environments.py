"""The environments on this machine: found by key, listed, removed."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox.debian import LABEL as BASE_LABEL
from sandbox.overlay import remove_home

if TYPE_CHECKING:
    from sandbox.docker import Engine

LABEL = "relay.environment"


@dataclass(frozen=True)
class Environment:
    """What turns and gates of a tree run in. `extras` is None where setup left nothing in the tree."""

    image_id: str
    extras: Path | None
    key: str
    log: str


@dataclass(frozen=True)
class Kept:
    """An environment on this machine: its key, image, seconds since the epoch when it was made, bytes with the base."""

    key: str
    image_id: str
    created: float
    size: int


def tag_of(key: str) -> str:
    """The name of an environment's image."""
    return f"relay/env:{key}"


def found(engine: Engine, folder: Path, name: str) -> Environment | None:
    """An environment that is whole: its image, what it left in the tree, its log."""
    image = engine.image_id(tag_of(name))
    if image is None or not (folder / name).is_dir() or not (folder / f"{name}.log").is_file():
        return None
    return Environment(image, filled(folder / name), name, (folder / f"{name}.log").read_text(errors="replace"))


def filled(extras: Path) -> Path | None:
    """The layer that setup left, None where it is empty."""
    return extras if any(extras.iterdir()) else None


def list_environments(engine: Engine) -> tuple[Kept, ...]:
    """The environments on this machine, the newest first.

    By label and name together: whoever makes an image can write any label on it.
    """
    labelled = [(each.labels[LABEL], each) for each in engine.images(LABEL)]
    ours = [(key, each) for key, each in labelled if re.fullmatch(r"[0-9a-f]{32}", key) and tag_of(key) in each.tags]
    kept = [Kept(key, each.id, each.created, each.size) for key, each in ours]
    return tuple(sorted(kept, key=lambda each: -each.created))


def prune(engine: Engine, cache: Path, *, keep: Callable[[Kept], bool] = lambda kept: False) -> tuple[str, ...]:
    """Remove environments that nothing uses and `keep` does not want, and what they left in the cache; their keys.

    Images of ours that were made anew meanwhile go too, by their id: nothing names them any more.
    """
    removed = []
    for each in list_environments(engine):
        if not keep(each) and engine.remove_image(tag_of(each.key)):
            (cache / "extras" / f"{each.key}.log").unlink(missing_ok=True)
            remove_home(engine, cache / "extras" / each.key)
            removed.append(each.key)
    for old in {each.id: each for label in (LABEL, BASE_LABEL) for each in engine.images(label)}.values():
        if not old.tags and not keep(Kept("", old.id, old.created, old.size)) and engine.remove_image(old.id):
            removed.append(old.id)
    return tuple(removed)
