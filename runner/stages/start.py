"""What is settled before a run begins: the file is checked, the target is found, everything is frozen."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

from pipelines.lint import Facts
from pipelines.load import Loaded, load, thaw
from pipelines.pipeline import Pipeline
from runner.codec import decode, encode
from runner.git.history import is_ancestor, tree_of
from runner.git.refs import RefUpdate, listed, move, read
from runner.git.repo import Repository
from runner.git.survey import default_branch, facts_at_start, uncommitted
from runner.models import prices
from runner.stages.names import landed_ref
from runner.stages.plan import split_title
from runner.stages.records import Options, Started

HEADS = "refs/heads/"


@dataclass(frozen=True)
class Frozen:
    """A pipeline as it was when the run began, with every file that it names. Kept in the run's folder, mode 0600."""

    name: str
    text: str
    files: Mapping[str, bytes]
    options: Options

    def pipeline(self) -> Pipeline:
        """The checked pipeline, with what the command line said."""
        return with_options(thaw(self.name, self.text, self.files, tasks=self.options.tasks), self.options)


def checked(repository: Repository | None, file: Path, options: Options, environ: Mapping[str, str]) -> Loaded:
    """The pipeline file with everything that can be known before a run. Raises PipelineError."""

    def branches() -> frozenset[str] | None:
        names = listed(repository, "refs/heads") if repository is not None else None
        return None if names is None else frozenset(name.removeprefix(HEADS) for name in names)

    facts = Facts(frozenset(name for name, value in environ.items() if value), branches, prices.is_known)
    return load(file, facts=facts, tasks=options.tasks)


def with_options(pipeline: Pipeline, options: Options) -> Pipeline:
    """The command line wins over the file."""
    budget = pipeline.budget
    if options.max_cost is not None:
        budget = replace(budget, max_cost=Decimal(options.max_cost))
    stages = tuple(
        replace(stage, may_change=(*stage.may_change, *options.may_change)) if stage.verb == "implement" else stage
        for stage in pipeline.stages
    )
    return replace(pipeline, budget=budget, stages=stages)


def freeze(folder: Path, loaded: Loaded, options: Options) -> Frozen:
    """Write down the pipeline for the run's later sessions."""
    frozen = Frozen(loaded.pipeline.name, loaded.text, loaded.files, options)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / "frozen.json"
    part = path.with_suffix(".part")
    part.touch(mode=0o600)
    part.write_bytes(encode(frozen))
    part.rename(path)
    return frozen


def frozen_of(folder: Path) -> Frozen:
    """The pipeline of a run that was begun before."""
    return decode((folder / "frozen.json").read_bytes(), Frozen)


def target_of(repository: Repository, pipeline: Pipeline) -> str:
    """The target branch's short name. Raises GitError where HEAD names none."""
    return pipeline.target or default_branch(repository).removeprefix(HEADS)


def started(repository: Repository, run: str, frozen: Frozen, pipeline: Pipeline, *, relay: str, at: float) -> Started:
    """What the run's journal begins with."""
    target = target_of(repository, pipeline)
    commit = read(repository, f"{HEADS}{target}") or ""
    return Started(
        run=run,
        pipeline=frozen.name,
        files=tuple(sorted(frozen.files)),
        target=target,
        target_commit=commit,
        landing_commit=read(repository, landed_ref(run)) or commit,
        tasks={task.id: split_title(task.text)[0] for task in pipeline.tasks},
        sources={
            task.id: f"{task.source}:{blob_id(frozen.files[task.source])}"
            for task in pipeline.tasks
            if task.source is not None
        },
        options=frozen.options,
        relay=relay,
        at=at,
    )


def blob_id(content: bytes) -> str:
    """The id that git gives these bytes (gitformat: SHA-1 of `blob <size> NUL <bytes>`)."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def begin_at(repository: Repository, run: str, target: str) -> str | None:
    """Let a new run start where the newest earlier `landed` stands that holds the target; says so, or None.

    An earlier `landed` that the target holds by now is removed.
    """
    tip = read(repository, f"{HEADS}{target}")
    if tip is None:
        return None
    said = None
    for name, commit in sorted(listed(repository, "refs/heads/relay").items(), reverse=True):
        if not name.endswith("/landed") or name == landed_ref(run):
            continue
        if is_ancestor(repository, commit, tip):
            move(repository, [RefUpdate(name, None, commit)])
        elif said is None and is_ancestor(repository, tip, commit):
            move(repository, [RefUpdate(landed_ref(run), commit, None)])
            earlier = name.removeprefix(HEADS)
            said = f"this run builds on {earlier}, which is not in {target} yet: `relay land {earlier.split('/')[1]}`"
    return said


def remarks(repository: Repository, target: str) -> list[str]:
    """What the user should know of the repository before the run: what the sandboxes will not see."""
    tip = read(repository, f"{HEADS}{target}")
    if tip is None:
        return []
    facts = facts_at_start(repository, tree_of(repository, tip))
    said = []
    dirty = uncommitted(repository)
    if dirty:
        said.append(f"{len(dirty)} uncommitted paths of your work tree are not in this run")
    if facts.submodules:
        said.append(f"{len(facts.submodules)} submodules are kept as they are; the tests see empty folders")
    if facts.lfs:
        said.append(f"{len(facts.lfs)} files of Git LFS are kept as they are; the tests see their pointers")
    if facts.shallow:
        said.append("the clone is shallow: models see the history that is there")
    if facts.sparse:
        said.append("the checkout is sparse: sandboxes hold the whole tree")
    return said
