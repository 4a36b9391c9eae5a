"""Read commits: names to ids, logs, trailers, differences. Diffs are made from objects, the same on every machine."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from runner.git.command import GitError, Handle, run
from runner.git.objects import GITLINK
from runner.git.repo import Repository

_UNSHALLOW = "this is a shallow clone; `git fetch --unshallow` brings the history that is missing"
_FIELDS = 8

# The scissors of `git commit --cleanup=scissors` behind any comment character; the divider of `git format-patch`.
_ENDS = re.compile(r"^(?=\S*[ ]-{24}[ ]>8[ ]-{24}\s*$|---(?:\s|$))", re.MULTILINE)


@dataclass(frozen=True)
class Commit:
    """A commit as `log` tells it. `when` is the author date in seconds since 1970."""

    id: str
    tree: str
    parents: tuple[str, ...]
    author: str  # `name <email>`
    when: int
    message: str
    trailers: tuple[tuple[str, str], ...]

    @property
    def subject(self) -> str:
        """The first line of the message."""
        return self.message.partition("\n")[0]

    def trailer(self, key: str) -> str | None:
        """The value of the last trailer `key`, whatever its case; None without one."""
        values = [value for name, value in self.trailers if name.lower() == key.lower()]
        return values[-1] if values else None


@dataclass(frozen=True)
class ChangedEntry:
    """One path that differs between two trees. A mode of 0 and an id of None: it is not there on that side."""

    path: bytes
    old_mode: int
    new_mode: int
    old: str | None
    new: str | None

    @property
    def is_submodule(self) -> bool:
        """Whether a submodule stands on either side."""
        return GITLINK in (self.old_mode, self.new_mode)


def resolve(repository: Repository, revision: str) -> str | None:
    """The id of the commit that `revision` (branch, tag, id, `HEAD~2`) means in the user's work tree, or None."""
    handle = repository.refs.with_variables(GIT_DIR=str(repository.git_dir))
    name = f"{revision}^{{commit}}"
    output = run(handle, "rev-parse", "--verify", "--quiet", "--end-of-options", name, accept=range(256))
    return output.text if output.status == 0 else None


def tree_of(repository: Repository, commit: str) -> str:
    """The tree of a commit. Raises GitError when the object is missing."""
    return _tree_of(repository.plumbing, commit)


@lru_cache(maxsize=256)
def _tree_of(plumbing: Handle, commit: str) -> str:
    return run(plumbing, "rev-parse", "--verify", "--end-of-options", f"{commit}^{{tree}}").text


def is_ancestor(repository: Repository, ancestor: str, commit: str) -> bool:
    """Whether `ancestor` is `commit`, or reachable from it."""
    return run(repository.plumbing, "merge-base", "--is-ancestor", ancestor, commit, accept=(0, 1)).status == 0


def merge_base(repository: Repository, one: str, other: str) -> str:
    """The best common ancestor of two commits. Raises GitError where there is none (or a shallow clone cut it off)."""
    output = run(repository.plumbing, "merge-base", one, other, accept=(0, 1))
    if output.status:
        raise no_merge_base(repository, one, other)
    return output.text


def no_merge_base(repository: Repository, one: str, other: str) -> GitError:
    """What to say when two commits have no common ancestor here."""
    why = _UNSHALLOW if repository.shallow else "their histories are unrelated, so they cannot be merged"
    return GitError(f"no common ancestor of {one[:12]} and {other[:12]}: {why}")


def log(
    repository: Repository,
    tip: str,
    *,
    without: Sequence[str] = (),
    limit: int | None = None,
    having: str | None = None,
    first_parent: bool = False,
    paths: Sequence[bytes] = (),
) -> tuple[Commit, ...]:
    """The commits reachable from `tip` and not from any of `without`, newest first, at most `limit`.

    `having` keeps those with this text somewhere in the message (`Relay-Task:`), `paths` those that changed one of
    these files or folders, `first_parent` follows the landing branch alone.
    """
    form = "%H%x00%T%x00%P%x00%an <%ae>%x00%at%x00%B%x00%(trailers:only,unfold,separator=%x01)%x00"
    options = [f"--format=tformat:{form}", "-z", "--no-show-signature"]
    options += [f"--max-count={limit}"] if limit is not None else []
    options += ["--fixed-strings", f"--grep={having}"] if having else []
    options += ["--first-parent"] if first_parent else []
    without = [f"^{commit}" for commit in without]
    output = run(repository.plumbing, "log", *options, tip, *without, "--", *paths).stdout
    words = output.decode("utf-8", "replace").split("\0")[:-1]
    return tuple(_commit(words[at : at + _FIELDS]) for at in range(0, len(words), _FIELDS))


def commit(repository: Repository, commit_id: str) -> Commit:
    """One commit. Raises GitError when it is missing."""
    return log(repository, commit_id, limit=1)[0]


def with_trailers(message: str, trailers: Sequence[tuple[str, str]]) -> str:
    """`message` with a block of trailers at its end; a value's white space becomes single spaces.

    A line at which some git would end the message, and take what stands before it for the trailers, is moved one space
    to the right.
    """
    lines = "".join(f"{key}: {' '.join(value.split())}\n" for key, value in trailers)
    text = _ENDS.sub(" ", message.rstrip())
    return f"{text}\n\n{lines}" if lines else f"{text}\n"


def diff(repository: Repository, old: str, new: str, *, paths: Sequence[bytes] = (), context: int = 3) -> bytes:
    """The complete patch between two trees or commits, renames detected.

    No attribute, configuration or textconv can hide a line: what git would call binary is shown as text. Use `paths`
    to leave out what no reader wants to see in full.
    """
    options = ("-p", "-r", "-M", "--text", "--full-index", "--no-ext-diff", "--no-textconv", "--no-color")
    return run(repository.plumbing, "diff-tree", *options, f"-U{context}", *_two(old, new), "--", *paths).stdout


def changed_paths(repository: Repository, old: str, new: str) -> tuple[ChangedEntry, ...]:
    """Every path that differs between two trees or commits, renames as a removal and an addition."""
    output = run(repository.plumbing, "diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-abbrev", *_two(old, new))
    words = output.stdout.split(b"\0")[:-1]
    return tuple(_changed(about, path) for about, path in zip(words[::2], words[1::2], strict=True))


def renamed_paths(repository: Repository, old: str, new: str) -> tuple[tuple[bytes, bytes], ...]:
    """What git takes for renames between two trees or commits: the old and the new path of each."""
    options = ("-r", "-z", "--raw", "-M", "-l0", "--diff-filter=R", "--no-abbrev")
    words = run(repository.plumbing, "diff-tree", *options, *_two(old, new)).stdout.split(b"\0")[:-1]
    return tuple(zip(words[1::3], words[2::3], strict=True))


def patch_id_verbatim(repository: Repository, old: str, new: str) -> str:
    """The id of the patch between two trees, white space included; `` when they are equal.

    The same patch on another base, at other line numbers, has the same id.
    """
    options = ("-p", "-r", "--full-index", "--binary", "--no-renames", "--no-ext-diff", "--no-textconv")
    patch = run(repository.plumbing, "diff-tree", *options, *_two(old, new)).stdout
    return run(repository.plumbing, "patch-id", "--verbatim", stdin=patch).text.partition(" ")[0]


def _two(old: str, new: str) -> tuple[str, str]:
    # diff-tree with a commit and a tree would show nothing: name the trees of both.
    return f"{old}^{{tree}}", f"{new}^{{tree}}"


def _commit(words: Sequence[str]) -> Commit:
    name, tree, parents, author, when, message, trailers = words[:7]
    pairs = [line.partition(":") for line in trailers.split("\x01") if ":" in line]
    return Commit(
        id=name,
        tree=tree,
        parents=tuple(parents.split()),
        author=author,
        when=int(when or 0),
        message=message,
        trailers=tuple((key.strip(), value.strip()) for key, _, value in pairs),
    )


def _changed(about: bytes, path: bytes) -> ChangedEntry:
    old_mode, new_mode, old, new, _ = os.fsdecode(about).removeprefix(":").split(" ")
    return ChangedEntry(path, int(old_mode, 8), int(new_mode, 8), _present(old), _present(new))


def _present(object_id: str) -> str | None:
    return None if object_id == "0" * 40 else object_id
