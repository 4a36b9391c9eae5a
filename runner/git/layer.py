"""The git directory that a sandbox gets: private, with the history of the landing branch, and nothing else."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from runner.git.cache import make_folder, once, owner_for, write_file
from runner.git.checkout import base_directory, everything
from runner.git.command import run
from runner.git.history import commit, is_ancestor, tree_of
from runner.git.index import encode_index
from runner.git.objects import write_commit
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
    owner = owner_for(uid, gid)
    stamp = int(worktree.stat().st_mtime)
    head = history if tree_of(repository, history) == tree else _commit_for(repository, tree, history)
    start = base if base is not None and is_ancestor(repository, base, history) else history
    tags = _tags(repository, history)
    shallow = _shallow(repository)
    packs = _base_pack(repository, start, shallow, cache, uid, owner)
    digest = _digest(head, history, start, str(stamp), *sorted(f"{tags[name]} {name}" for name in tags), *shallow)

    def make(part: Path) -> None:
        git = part / ".git"
        for folder in ("", "objects", "objects/pack", "objects/info", "refs", "refs/heads", "refs/tags", "info"):
            make_folder(git / folder, owner)
        for file in packs.iterdir():
            _share(file, git / "objects" / "pack" / file.name)
        new = [head, history, *tags.values()]
        _pack(
            repository,
            new,
            [start, *_tags(repository, start).values()],
            git / "objects/pack",
            owner,
        )
        write_file(git / "HEAD", f"{head}\n".encode(), owner)
        write_file(git / "config", _CONFIG, owner)
        write_file(git / "packed-refs", _packed_refs(tags), owner)
        if shallow:
            write_file(git / "shallow", "".join(f"{line}\n" for line in shallow).encode(), owner)
        entries = everything(repository, tree)
        sizes = {path: os.lstat(worktree / os.fsdecode(path)).st_size for path in entries}
        write_file(git / "index", encode_index(tree, entries, sizes, stamp), owner)
        part.chmod(0o755)
        if owner is not None:
            os.chown(part, *owner)

    return once(cache / "layers" / f"{tree}-{digest}-{uid}", make)


def _commit_for(repository: Repository, tree: str, history: str) -> str:
    when = commit(repository, history).when
    return write_commit(repository, tree, [history], "The tree of this turn\n", when=when)


def _tags(repository: Repository, history: str) -> Mapping[str, str]:
    """The tags whose commit is reachable from `history`: full name to id."""
    form = "--format=%(objectname) %(refname)"
    output = run(repository.refs, "for-each-ref", f"--merged={history}", form, "refs/tags").stdout
    lines = output.decode("utf-8", "surrogateescape").splitlines()
    return {name: own for own, name in (line.split(" ", 1) for line in lines)}


def _shallow(repository: Repository) -> tuple[str, ...]:
    path = repository.common_dir / "shallow"
    return tuple(sorted(path.read_text().split())) if path.exists() else ()


def _base_pack(
    repository: Repository,
    start: str,
    shallow: Sequence[str],
    cache: Path,
    uid: int,
    owner: tuple[int, int] | None,
) -> Path:
    tags = list(_tags(repository, start).values())

    def make(part: Path) -> None:
        _pack(repository, [start, *tags], [], part, owner)

    return once(cache / "packs" / f"{start}-{_digest(*sorted(tags), *shallow)}-{uid}", make)


def _pack(
    repository: Repository,
    wanted: Sequence[str],
    without: Sequence[str],
    folder: Path,
    owner: tuple[int, int] | None,
) -> None:
    before = set(folder.iterdir())
    lines = [*wanted, *(f"^{name}" for name in without)]
    script = "".join(f"{line}\n" for line in lines).encode()
    command = ("pack-objects", "-q", "--revs", "--non-empty", "--delta-base-offset", str(folder / "pack"))
    run(repository.plumbing, *command, stdin=script)
    for file in set(folder.iterdir()) - before:
        file.chmod(0o444)
        if owner is not None:
            os.chown(file, *owner)


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
