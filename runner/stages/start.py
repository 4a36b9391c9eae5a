"""What is settled before a run begins: the file is checked, the target is found, everything is frozen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

from pipelines.load import Loaded, thaw
from pipelines.pipeline import Pipeline
from runner import disk
from runner.codec import CodecError, decode, encode
from runner.git.command import GitError
from runner.git.history import is_ancestor, tree_of
from runner.git.refs import RefUpdate, read
from runner.git.repo import Repository
from runner.git.survey import default_branch, facts_at_start, uncommitted
from runner.stages.branches import drop_held, landings
from runner.stages.names import landed_ref
from runner.stages.plan import split_title
from runner.stages.records import Options, Started
from runner.stages.tasks import blob_id

HEADS = "refs/heads/"


@dataclass(frozen=True)
class Frozen:
    """A pipeline as it was when the run began, with every file that it names. Kept in the run's folder, mode 0600."""

    name: str
    text: str
    files: Mapping[str, bytes]
    options: Options
    named: tuple[str, ...] = ()  # the file and what it names, from the root of the repository: host paths

    def pipeline(self) -> Pipeline:
        """The checked pipeline, with what the command line said."""
        return with_options(thaw(self.name, self.text, self.files, tasks=self.options.tasks), self.options)


def with_options(pipeline: Pipeline, options: Options) -> Pipeline:
    """The command line wins over the file."""
    budget = pipeline.budget
    if options.max_cost is not None:
        budget = budget._replace(max_cost=Decimal(options.max_cost))
    stages = tuple(
        stage._replace(may_change=(*stage.may_change, *options.may_change)) if stage.verb == "implement" else stage
        for stage in pipeline.stages
    )
    return pipeline._replace(budget=budget, stages=stages)


def freeze(folder: Path, loaded: Loaded, options: Options, named: tuple[str, ...]) -> Frozen:
    """Write down the pipeline for the run's later sessions."""
    frozen = Frozen(loaded.pipeline.name, loaded.text, loaded.files, options, named)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    disk.put(folder / "frozen.json", encode(frozen))
    return frozen


def frozen_of(folder: Path) -> Frozen:
    """The pipeline of a run that was begun before. Raises GitError where its state is gone or damaged."""
    try:
        return decode((folder / "frozen.json").read_bytes(), Frozen)
    except (FileNotFoundError, CodecError) as error:
        raise GitError(
            f"run {folder.name} cannot go on here, {folder / 'frozen.json'} is missing or damaged ({error}); "
            "what it did stays in its journal: relay status"
        ) from error


def spend(folder: Path, max_cost: str) -> None:
    """Another budget (USD) for the run's later sessions. Raises GitError as `frozen_of` does."""
    frozen = frozen_of(folder)
    disk.put(folder / "frozen.json", encode(replace(frozen, options=replace(frozen.options, max_cost=max_cost))))


def target_of(repository: Repository, pipeline: Pipeline) -> str:
    """The target branch's short name. Raises GitError where HEAD names none."""
    return pipeline.target or default_branch(repository).removeprefix(HEADS)


def started(
    repository: Repository, run: str, frozen: Frozen, pipeline: Pipeline, landing: str, *, relay: str, at: float
) -> Started:
    """What the run's journal begins with. `landing` is the commit that it starts from."""
    target = target_of(repository, pipeline)
    commit = read(repository, f"{HEADS}{target}") or ""
    return Started(
        run=run,
        pipeline=frozen.name,
        files=tuple(sorted(frozen.files)),
        target=target,
        target_commit=commit,
        landing_commit=landing,
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


@dataclass(frozen=True)
class Beginning:
    """Where a run starts: the refs to move for it, and what to say of it."""

    commit: str
    moves: tuple[RefUpdate, ...] = ()
    said: tuple[str, ...] = ()


def beginning(repository: Repository, run: str, target: str) -> Beginning:
    """Let a new run start where the newest earlier `landed` stands that holds the target, else at the target.

    An earlier `landed` that the target holds by now is removed.
    """
    tip = read(repository, f"{HEADS}{target}")
    if tip is None:
        return Beginning("")
    newest = ""
    drop_held(repository, target)
    waiting = landings(repository, target)
    for other, commit in sorted(waiting.items()):
        if is_ancestor(repository, tip, commit):
            # Runs of one minute are not told apart by their ids: what holds the other one is newer.
            newest = newest if newest and is_ancestor(repository, commit, waiting[newest]) else other
    if not newest:
        return Beginning(tip)
    earlier = landed_ref(newest).removeprefix(HEADS)
    said = f"this run builds on {earlier}, which is not in {target} yet: `relay land {newest}`"
    return Beginning(waiting[newest], (RefUpdate(landed_ref(run), waiting[newest], None),), (said,))


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


def untracked(repository: Repository, names: Sequence[str]) -> dict[str, bytes]:
    """The policy's files of the user's work tree, by path. Raises GitError for one that is not there."""
    root, found = repository.work_tree, {}
    if root is None and names:
        raise GitError("sandbox: files: a bare repository has no untracked files: run relay in a clone of it")
    for name in names:
        path = (root or Path()) / name
        try:
            # What lands may be a link, and what it leads to on this machine is nothing for a sandbox.
            if not path.resolve().is_relative_to((root or Path()).resolve()):
                raise GitError(f"sandbox: files: {name} leads out of the repository: copy the file to its place")
            found[name] = path.read_bytes()
        except OSError as error:
            raise GitError(f"sandbox: files: {name}: {error.strerror}: take it out of the list, or make it") from error
    return found


def host_names(repository: Repository, file: Path, pipeline: Pipeline) -> tuple[str, ...]:
    """The pipeline file and what it names, as paths from the root of the repository; those outside of it are left out.

    `context` files of roles come from the target's tree, so their names are paths of it already. Where a link is on
    the way, it is named as well as the file: either decides what the next run reads.
    """
    root = repository.work_tree
    names = [name for role in pipeline.roles.values() for name in role.context]
    if root is not None:
        real = root.resolve()
        for path in (file, *(file.parent / name for name in pipeline.named_files)):
            seen = [step for step in _steps(path.absolute()) if step.is_relative_to(real)]
            names += [str(step.relative_to(real)) for step in seen]
    return tuple(dict.fromkeys(names))


def _steps(path: Path) -> Iterator[Path]:
    """A path as it stands in its folder, every link on the way to it, and where it ends."""
    for part in (path, *path.parents):
        if part == path or part.is_symlink():
            yield part.parent.resolve() / part.name
    yield path.resolve()
