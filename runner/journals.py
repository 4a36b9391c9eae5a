"""The runs of a repository and the entries of their journals, as values. It changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from runner.codec import CodecError, convert
from runner.git.journal import Journal
from runner.git.objects import read_blob
from runner.git.refs import listed
from runner.git.repo import Repository
from runner.stages.names import journal_ref
from runner.stages.records import (
    CloseRecord,
    DecisionRecord,
    EndRecord,
    GateRecord,
    LandRecord,
    OpenRecord,
    PermitRecord,
    PlannedRecord,
    ReviewRecord,
    Started,
    TurnRecord,
)

_KINDS: Mapping[str, type] = {
    kind.kind: kind
    for kind in (
        Started,
        PlannedRecord,
        EndRecord,
        OpenRecord,
        TurnRecord,
        GateRecord,
        PermitRecord,
        ReviewRecord,
        DecisionRecord,
        LandRecord,
        CloseRecord,
    )
}


class NotFound(LookupError):
    """There is no such run or change. The text names those that there are."""

    exit_code = 2


class Unreadable(ValueError):
    """A journal holds an entry that this version cannot read. The text names it."""

    exit_code = 4


@dataclass(frozen=True)
class Entry:
    """One entry of a journal: its key, its value, and the blob ids of its files by name."""

    key: str
    record: Any
    files: Mapping[str, str] = field(default_factory=dict)


def run_ids(repository: Repository) -> tuple[str, ...]:
    """The ids of all runs, newest first."""
    names = [name.split("/") for name in listed(repository, "refs/relay/runs")]
    runs = sorted({parts[3] for parts in names if parts[4:] == ["journal"]}, reverse=True)
    if len(runs) > 1 and runs[0][:14] == runs[1][:14]:  # begun in the same minute: their ids do not say which first
        same = [run for run in runs if run[:14] == runs[0][:14]]
        runs[: len(same)] = sorted(same, key=lambda run: -_started(repository, run).at)
    return tuple(runs)


def entries(repository: Repository, ref: str) -> tuple[Entry, ...]:
    """All entries of a journal whose kind is known, in order."""
    found = []
    for record in Journal(repository, ref).entries():
        kind = _KINDS.get(str(record.value.get("kind")))
        if kind is None:
            continue
        try:
            found.append(Entry(record.key, convert(record.value, kind), record.files))
        except CodecError as error:
            raise Unreadable(f"{ref}: entry {record.key} was not written by this version of relay: {error}") from error
    return tuple(found)


def read_file(repository: Repository, entry: Entry, name: str) -> bytes | None:
    """The content of a file beside a journal's entry (`verdict.json`, a log), or None where there is none."""
    return read_blob(repository, entry.files[name]) if name in entry.files else None


def newest_run(repository: Repository) -> str:
    """The id of the newest run. Raises NotFound when there is none."""
    runs = run_ids(repository)
    if not runs:
        raise NotFound("there is no run in this repository yet: start one with `relay pipeline run`")
    return runs[0]


def no_run(run: str, known: tuple[str, ...]) -> NotFound:
    """What to say of a run that is not there; `known` are those that are, newest first."""
    if not known:
        return NotFound(f"there is no run {run!r}, nor any other: start one with `relay pipeline run`")
    more = f" and {len(known) - 8} older" if len(known) > 8 else ""
    return NotFound(f"there is no run {run!r}; the runs here: {', '.join(known[:8])}{more}")


def _started(repository: Repository, run: str) -> Started:
    record = Journal(repository, journal_ref(run)).find("start")
    if record is None:
        raise no_run(run, ())
    return convert(record.value, Started)
