"""Ids and names of a run: refs, keys of journal entries, folders. Nothing here comes from a model."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runner.flow import At


GATE_NOTES = "refs/notes/relay/gate"
LETTERS = "abcdefghijkmnpqrstuvwxyz"


def new_run_id(now: float, choose: random.Random) -> str:
    """`r<yyyymmdd>-<hhmm>-<4 letters>`, in local time. `now` is seconds since the epoch."""
    return time.strftime("r%Y%m%d-%H%M-", time.localtime(now)) + "".join(choose.choices(LETTERS, k=4))


def journal_ref(run: str) -> str:
    return f"refs/relay/runs/{run}/journal"


def change_journal_ref(run: str, change: str) -> str:
    return f"refs/relay/runs/{run}/changes/{change}"


def candidate_ref(run: str, change: str) -> str:
    return f"refs/relay/runs/{run}/candidates/{change}"


def head_ref(run: str, change: str) -> str:
    """Where a landed change's branch moves at the end of the run."""
    return f"refs/relay/runs/{run}/heads/{change}"


def branch_ref(run: str, change: str) -> str:
    """A change's branch while it waits for anybody."""
    return f"refs/heads/relay/{run}/{change}"


def landed_ref(run: str) -> str:
    """The landing branch while the target is checked out."""
    return f"refs/heads/relay/{run}/landed"


def record_key(at: At, what: str = "") -> str:
    """The journal key of a stage's work: `r<round>.<attempt>.<stage>[.<what>]`."""
    return f"r{at.round}.{at.attempt}.{at.stage}" + (f".{what}" if what else "")


def turn_key(at: At, who: str) -> str:
    """A turn's key in the ledger and its folder: `<change>.r<round>.<attempt>.<stage>.<role>`."""
    return f"{at.change}.r{at.round}.{at.attempt}.{at.stage}.{who}"


def turn_folder(state: Path, key: str) -> Path:
    return state / "turns" / key
