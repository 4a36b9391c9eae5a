"""Read and write git objects by id. Everything goes through the plumbing handle: raw bytes, no filters, no refs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Literal

from runner.git.command import GitError, Handle, Session, run, session
from runner.git.repo import Repository

EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
FILE, EXECUTABLE, SYMLINK, TREE, GITLINK = 0o100644, 0o100755, 0o120000, 0o040000, 0o160000

Kind = Literal["blob", "tree", "commit"]


@dataclass(frozen=True, slots=True)
class TreeEntry:
    """One entry of a tree: its mode as git has it, what it is (`commit` is a submodule), and its id."""

    mode: int
    kind: Kind
    id: str


@dataclass(frozen=True)
class Identity:
    """Who wrote a commit."""

    name: str
    email: str


RELAY = Identity("relay", "relay@relay.invalid")


def role_identity(role: str, model: str) -> Identity:
    """The author of what `role` made with `model`. `.invalid` is a domain that no forge can map to a person."""
    return Identity(f"{role} ({model})", f"{role}@relay.invalid")


@dataclass(frozen=True)
class Reader:
    """A running `git cat-file --batch`: many objects for the price of one process."""

    talk: Session

    def read(self, object_id: str) -> bytes:
        """The raw content of an object. Raises GitError when it is missing."""
        self.talk.write(object_id.encode() + b"\n")
        header = self.talk.line().split()
        if len(header) != 3:
            raise GitError(f"object {object_id} is missing in this repository: {_MISSING}")
        content = self.talk.exactly(int(header[2]))
        self.talk.exactly(1)
        return content

    def tree(self, tree: str) -> dict[bytes, TreeEntry]:
        """The direct entries of a tree, by name."""
        return parse_tree(self.read(tree))


_MISSING = "`git fsck` tells more; in a partial clone `git fetch --refetch` brings all of them"


@contextmanager
def reader(repository: Repository) -> Iterator[Reader]:
    """Objects by id, for as long as the block lasts."""
    with session(repository.plumbing, "cat-file", "--batch") as talk:
        yield Reader(talk)


def parse_tree(content: bytes) -> dict[bytes, TreeEntry]:
    """The entries of a raw tree object (gitformat: `<octal mode> <name> NUL <20 bytes of id>`, repeated)."""
    entries = {}
    at = 0
    while at < len(content):
        end = content.index(b"\0", at)
        mode, name = content[at:end].split(b" ", 1)
        entries[name] = _entry(int(mode, 8), content[end + 1 : end + 21].hex())
        at = end + 21
    return entries


def read_blob(repository: Repository, blob: str) -> bytes:
    """The content of a blob. Raises GitError when it is missing or no blob."""
    return run(repository.plumbing, "cat-file", "blob", blob).stdout


def read_blobs(repository: Repository, blobs: Iterable[str]) -> dict[str, bytes]:
    """The contents of many blobs, by id. Raises GitError when one is missing."""
    with reader(repository) as objects:
        return {blob: objects.read(blob) for blob in dict.fromkeys(blobs)}


def ls_tree(repository: Repository, tree: str) -> Mapping[bytes, TreeEntry]:
    """Every file, link and submodule of a tree (or commit), by its full path, in git's order."""
    return parse_ls_tree(run(repository.plumbing, "ls-tree", "-r", "-z", "--full-tree", tree).stdout)


def listing(repository: Repository, tree: str) -> Mapping[bytes, TreeEntry]:
    """`ls_tree` of a source tree, by id. Of a large one it takes a second and every stage asks: the last are kept."""
    return _listing(repository.plumbing, tree)


@lru_cache(maxsize=4)
def _listing(plumbing: Handle, tree: str) -> Mapping[bytes, TreeEntry]:
    return MappingProxyType(parse_ls_tree(run(plumbing, "ls-tree", "-r", "-z", "--full-tree", tree).stdout))


def parse_ls_tree(output: bytes) -> dict[bytes, TreeEntry]:
    """What `git ls-tree -z` printed: `<octal mode> <kind> <id> TAB <path> NUL`, repeated."""
    entries = {}
    for line in output.split(b"\0")[:-1]:
        about, path = line.split(b"\t", 1)
        mode, _, object_id = about.split(b" ")
        entries[path] = _entry(int(mode, 8), object_id.decode())
    return entries


def entry(repository: Repository, tree: str, path: bytes) -> TreeEntry | None:
    """What a tree (or commit) has at `path`, or None."""
    output = run(repository.plumbing, "ls-tree", "-z", "--full-tree", tree, b"--", path).stdout
    return parse_ls_tree(output).get(path)


def read_path(repository: Repository, tree: str, path: bytes) -> bytes | None:
    """The content of the file (or the target of the link) at `path` in a tree or commit; None where there is none."""
    found = entry(repository, tree, path)
    return read_blob(repository, found.id) if found and found.kind == "blob" else None


def write_blob(repository: Repository, content: bytes) -> str:
    """Store `content` as it is and return its id."""
    return run(repository.plumbing, "hash-object", "-w", "--stdin", stdin=content).text


def write_commit(
    repository: Repository,
    tree: str,
    parents: Sequence[str],
    message: str,
    *,
    author: Identity = RELAY,
    when: int,
) -> str:
    """Store a commit and return its id. `when` is in seconds since 1970; the same input gives the same id.

    Committer is relay, nothing is signed. NUL cannot stand in a message and is replaced.
    """
    handle = repository.plumbing.with_variables(
        GIT_AUTHOR_NAME=author.name,
        GIT_AUTHOR_EMAIL=author.email,
        GIT_AUTHOR_DATE=f"@{when} +0000",
        GIT_COMMITTER_DATE=f"@{when} +0000",
    )
    text = message.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace")
    parts = [word for parent in parents for word in ("-p", parent)]
    return run(handle, "commit-tree", tree, *parts, "-F", "-", stdin=text).text


def _entry(mode: int, object_id: str) -> TreeEntry:
    kind: Kind = "tree" if mode == TREE else "commit" if mode == GITLINK else "blob"
    return TreeEntry(mode, kind, object_id)
