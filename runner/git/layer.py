"""The git directory that a sandbox gets: private, with the history of the landing branch, and nothing else."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from runner.git.cache import make_folder, once, owner_for, write_file
from runner.git.checkout import base_directory, everything
from runner.git.command import run
from runner.git.history import commit, is_ancestor, tree_of
from runner.git.index import Seen, encode_index
from runner.git.objects import write_commit
from runner.git.refs import listed
from runner.git.repo import Repository

_CONFIG = b"""\
[core]
\trepositoryformatversion = 0
\tfilemode = true
\tbare = false
\tlogallrefupdates = true
\tcheckStat = minimal
\ttrustctime = false
[user]
\tname = relay
\temail = relay@relay.invalid
[commit]
\tgpgsign = false
[gc]
\tauto = 0
[maintenance]
\tauto = false
[advice]
\tdetachedHead = false
"""


def git_layer(
    repository: Repository,
    tree: str,
    history: str,
    cache: Path,
    uid: int,
    gid: int,
    *,
    base: str | None = None,
) -> Path:
    """A directory that holds only `.git`, to be laid over `tree`'s base directory; made once, below `cache/layers`.

    HEAD is detached at a commit of exactly `tree`: `history` itself where that is its tree, else a commit made for it
    with `history` as its parent (the same every time). Inside are the commits and tags reachable from `history`, an
    index that makes `git status` clean at once, an identity; no remote, branch, note, hook or setting of the user's.
    `base` is a commit whose pack is shared (the landing branch where the run began); only what is newer is packed anew.
    Raises GitError as `base_directory` does.
    """
    worktree = base_directory(repository, tree, cache, uid, gid)
    plan = _Plan(
        tree=tree,
        history=history,
        start=base if base is not None and is_ancestor(repository, base, history) else history,
        head=history if tree_of(repository, history) == tree else _commit_for(repository, tree, history),
        tags=_tags(repository, history),
        shallow=_shallow(repository),
        made=f"{worktree.stat().st_mtime_ns}-{worktree.stat().st_ino}",
        owner=owner_for(uid, gid),
    )
    packs = _base_pack(repository, plan, cache, uid)
    return once(
        cache / "layers" / f"{tree}-{plan.digest}-{uid}", lambda part: _fill(repository, plan, worktree, packs, part)
    )


@dataclass(frozen=True)
class _Plan:
    """Everything that a layer depends on."""

    tree: str
    history: str
    start: str
    head: str
    tags: Mapping[str, str]
    shallow: tuple[str, ...]
    made: str  # which making of the base directory: its times stand in the index
    owner: tuple[int, int] | None

    @property
    def digest(self) -> str:
        tags = sorted(f"{value} {name}" for name, value in self.tags.items())
        return _digest(self.head, self.history, self.start, self.made, *tags, *self.shallow)


def _fill(repository: Repository, plan: _Plan, worktree: Path, packs: Path, part: Path) -> None:
    git, owner = part / ".git", plan.owner
    for folder in ("", "objects", "objects/pack", "objects/info", "refs", "refs/heads", "refs/tags", "info"):
        make_folder(git / folder, owner)
    for file in packs.iterdir():
        _share(file, git / "objects" / "pack" / file.name)
    new = [plan.head, plan.history, *plan.tags.values()]
    packed = [plan.start, *_tags(repository, plan.start).values()]
    _pack(repository, new, packed, git / "objects" / "pack", owner)
    write_file(git / "HEAD", f"{plan.head}\n".encode(), owner)
    write_file(git / "config", _CONFIG, owner)
    write_file(git / "packed-refs", _packed_refs(plan.tags), owner)
    if plan.shallow:
        write_file(git / "shallow", "".join(f"{line}\n" for line in plan.shallow).encode(), owner)
    entries = everything(repository, plan.tree)
    top = os.fsencode(worktree) + b"/"
    seen = {path: _seen(top + path) for path, entry in entries.items() if entry.kind == "blob"}
    write_file(git / "index", encode_index(plan.tree, entries, seen), owner)
    part.chmod(0o755)
    if owner is not None:
        os.chown(part, *owner)


def _seen(path: bytes) -> Seen:
    about = os.lstat(path)
    return Seen(about.st_size, int(about.st_mtime))


def _commit_for(repository: Repository, tree: str, history: str) -> str:
    when = commit(repository, history).when
    return write_commit(repository, tree, [history], "The tree of this turn\n", when=when)


def _tags(repository: Repository, history: str) -> Mapping[str, str]:
    """The tags whose commit is reachable from `history`: full name to id."""
    every = listed(repository, "refs/tags")
    return _reachable(repository, history, tuple(every.items())) if every else {}


@lru_cache(maxsize=8)
def _reachable(repository: Repository, history: str, every: tuple[tuple[str, str], ...]) -> Mapping[str, str]:
    # Git walks the history for this, which takes seconds where it is long: once for each state of the tags.
    names = run(repository.refs, "for-each-ref", f"--merged={history}", "--format=%(refname)", "refs/tags").stdout
    merged = set(names.decode("utf-8", "surrogateescape").split("\n"))
    return {name: own for name, own in every if name in merged}


def _shallow(repository: Repository) -> tuple[str, ...]:
    path = repository.common_dir / "shallow"
    return tuple(sorted(path.read_text().split())) if path.exists() else ()


def _base_pack(repository: Repository, plan: _Plan, cache: Path, uid: int) -> Path:
    tags = sorted(_tags(repository, plan.start).values())
    name = f"{plan.start}-{_digest(*tags, *plan.shallow)}-{uid}"
    return once(cache / "packs" / name, lambda part: _pack(repository, [plan.start, *tags], [], part, plan.owner))


def _pack(
    repository: Repository,
    wanted: Sequence[str],
    without: Sequence[str],
    folder: Path,
    owner: tuple[int, int] | None,
) -> None:
    lines = [*wanted, *(f"^{name}" for name in without)]
    script = "".join(f"{line}\n" for line in lines).encode()
    # Git writes a pack beside its objects and renames it; the cache may lie on another file system.
    with tempfile.TemporaryDirectory(dir=folder) as own:
        (Path(own) / "info").mkdir()
        (Path(own) / "info" / "alternates").write_bytes(os.fsencode(repository.common_dir / "objects") + b"\n")
        command = ("pack-objects", "-q", "--revs", "--non-empty", "--delta-base-offset", f"{own}/pack")
        run(repository.plumbing.with_variables(GIT_OBJECT_DIRECTORY=own), *command, stdin=script)
        for file in Path(own).glob("pack-*"):
            file.chmod(0o444)
            if owner is not None:
                os.chown(file, *owner)
            file.rename(folder / file.name)


def _packed_refs(tags: Mapping[str, str]) -> bytes:
    """One `<id> <name>` per ref, sorted (git-pack-refs)."""
    lines = ["# pack-refs with: sorted ", *(f"{tags[name]} {name}" for name in sorted(tags, key=os.fsencode))]
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape")


def _share(source: Path, target: Path) -> None:
    # A pack is never written again, so one file can serve every layer; across file systems it is copied.
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
        if os.geteuid() == 0:
            os.chown(target, source.stat().st_uid, source.stat().st_gid)


def _digest(*words: str) -> str:
    return hashlib.sha256("\n".join(words).encode("utf-8", "surrogateescape")).hexdigest()[:16]
