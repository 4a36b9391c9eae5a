"""A user's repository, opened safely: where it lies, and the two handles through which relay speaks to git."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from runner.git.command import GitError, Handle, discovery, run

NEEDED = (2, 39)

# relay's own git directory: no remote, filter, driver, hook or alias can ever stand in it.
_CONFIG = """\
[core]
\trepositoryformatversion = 0
\tfilemode = true
\tbare = true
\tlogallrefupdates = false
\tsharedRepository = {shared}
[gc]
\tauto = 0
[protocol]
\tallow = never
"""


@dataclass(frozen=True)
class Repository:
    """Where a repository lies, and two ways to run git on it.

    `plumbing` is relay's own bare git directory over the user's objects: it reads and writes objects, and sees nothing
    of the user's configuration, refs, attributes or hooks. `refs` is the user's git directory, for reading and moving
    refs only, with hooks switched off.
    """

    git_dir: Path  # of the work tree that was opened
    common_dir: Path  # shared by all its work trees
    work_tree: Path | None
    shallow: bool
    plumbing: Handle
    refs: Handle

    @property
    def state(self) -> Path:
        """relay's own folder in the repository."""
        return self.common_dir / "relay"


def open_repository(path: Path, *, environ: Mapping[str, str] = os.environ) -> Repository:
    """The repository that holds `path` (a work tree, a folder in it, a linked work tree, or a bare repository).

    Makes relay's state folder (mode 0700) in it. Of `environ` only HOME, XDG_CONFIG_HOME and SUDO_UID count, for the
    user's own `safe.directory`.
    Raises GitError, saying what to do: no repository, not the user's own, no commit yet, SHA-256, a branch or notes
    ref named `relay` in the way, a git that is too old, a folder that cannot be written.
    """
    if not path.is_dir():
        raise GitError(f"{path} is not a folder: give the folder of a git repository with --repo")
    path = path.resolve()
    look = discovery(environ, path)
    _check_version(look)
    found = run(look, "rev-parse", "--is-bare-repository", "--absolute-git-dir", accept=range(256))
    if found.status:
        raise _not_opened(path, found.complaint)
    _, git_dir = os.fsdecode(found.stdout).rstrip("\n").split("\n", 1)
    common = _path(run(look, "rev-parse", "--path-format=absolute", "--git-common-dir").stdout)
    top = run(look, "rev-parse", "--show-toplevel", accept=range(256))
    repository = _handles(Path(git_dir), common, _path(top.stdout) if top.status == 0 and top.stdout else None)
    _check(repository, path)
    _prepare(repository)
    return repository


def _handles(git_dir: Path, common: Path, work_tree: Path | None) -> Repository:
    shallow = common / "shallow"
    own = common / "relay" / "git"
    plumbing = Handle(
        common,
        {
            "GIT_DIR": str(own),
            # Named, since a repository may have come with a `relay/git` in which a file says that it is elsewhere.
            "GIT_COMMON_DIR": str(own),
            "GIT_GRAFT_FILE": str(own / "none"),
            "GIT_OBJECT_DIRECTORY": str(common / "objects"),
            "GIT_SHALLOW_FILE": str(shallow),
        },
    )
    return Repository(git_dir, common, work_tree, shallow.exists(), plumbing, Handle(common, {"GIT_DIR": str(common)}))


def _check_version(handle: Handle) -> None:
    text = run(handle, "version").text
    match = re.search(r"(\d+)\.(\d+)", text)
    if match is None or (int(match[1]), int(match[2])) < NEEDED:
        raise GitError(f"{text} is too old: relay needs git {NEEDED[0]}.{NEEDED[1]} or newer")


def _not_opened(path: Path, complaint: str) -> GitError:
    if "dubious ownership" in complaint:
        return GitError(
            f"{path} belongs to another user, so git does not open it; if you trust it: "
            f"git config --global --add safe.directory {path}"
        )
    if "not a git repository" in complaint:
        return GitError(f"{path} is not in a git repository: go to one, or make one with `git init` and a first commit")
    return GitError(f"git does not open {path}: {complaint}")


def _check(repository: Repository, path: Path) -> None:
    form = run(repository.refs, "rev-parse", "--show-object-format").text
    if form != "sha1":
        raise GitError(f"{path} names its objects by {form}; relay works with SHA-1 repositories only, in this version")
    names = ("refs/heads/relay", "refs/notes/relay", "refs/relay")
    listed = run(repository.refs, "for-each-ref", "--format=%(refname)", *names).text.splitlines()
    if names[0] in listed:
        raise GitError("a branch named `relay` is in the way of relay's own branches: git branch -m relay another-name")
    for name in names[1:]:
        if name in listed:
            raise GitError(
                f"a ref named {name} is in the way of relay's own refs; keep it under another name: "
                f"git update-ref {name}-kept {name} && git update-ref -d {name}"
            )
    if not run(repository.refs, "rev-list", "--all", "-n", "1").stdout and not _head(repository):
        raise GitError(
            f"{path} has no commit yet: make the first one (git add ... && git commit), then run relay again"
        )


def _head(repository: Repository) -> bool:
    handle = repository.refs.with_variables(GIT_DIR=str(repository.git_dir))
    return run(handle, "rev-parse", "--verify", "--quiet", "HEAD^{commit}", accept=(0, 1)).status == 0


def _prepare(repository: Repository) -> None:
    """relay's state folder and its own git directory. Safe to repeat, and beside another process."""
    own = repository.state / "git"
    shared = run(repository.refs, "config", "--get", "core.sharedRepository", accept=(0, 1)).text or "umask"
    if not re.fullmatch(r"[a-z0-9]+", shared):
        shared = "umask"
    try:
        repository.state.mkdir(mode=0o700, exist_ok=True)
        for folder in (own, own / "refs", own / "objects"):
            folder.mkdir(mode=0o700, exist_ok=True)
        _write(own / "config", _CONFIG.format(shared=shared))
        _write(own / "HEAD", "ref: refs/heads/none\n")
    except OSError as error:
        raise GitError(
            f"relay keeps its state in {repository.state}, which cannot be written ({error.strerror}): "
            f"give your user the right to write into {repository.common_dir}"
        ) from error


def _write(path: Path, text: str) -> None:
    if path.exists() and path.read_text() == text:
        return
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text)
    temporary.replace(path)


def _path(output: bytes) -> Path:
    return Path(os.fsdecode(output.removesuffix(b"\n")))
