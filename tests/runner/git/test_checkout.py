"""From a tree to a directory, and the git directory that goes with it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runner.git import history, objects, refs
from runner.git.checkout import base_directory
from runner.git.command import GitError
from runner.git.harvest import harvest
from runner.git.layer import git_layer
from runner.git.repo import Repository
from runner.git.trees import write_tree_with
from tests.runner.git.support import changes, git, make, opened, picture, save, write

UID = 58271 if os.geteuid() == 0 else os.getuid()


@pytest.fixture
def cache() -> Iterator[Path]:
    """A cache that another user can reach."""
    with tempfile.TemporaryDirectory(prefix="relay cache ") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    where = tmp_path / "repo"
    make(
        where,
        {
            "a.txt": "a\n",
            "crlf": b"1\r\n",
            "d/e/x.sh": "#!/bin/sh\n",
            ".gitattributes": "* text eol=crlf\nl filter=lfs\n",
        },
    )
    (where / "d/e/x.sh").chmod(0o755)
    (where / "dangling").symlink_to("/etc/passwd")
    save(where, {"l": "version https://git-lfs.github.com/spec/v1\n", "empty": "", "ü \n": "odd"})
    return opened(where)


def _head(repository: Repository) -> str:
    return str(history.resolve(repository, "HEAD"))


def _tree(repository: Repository) -> str:
    return history.tree_of(repository, _head(repository))


def test_a_base_holds_exactly_the_tree_in_raw_bytes(repository: Repository, cache: Path) -> None:
    """No end-of-line conversion, no filter, links as links; and harvesting it gives the tree back."""
    tree = _tree(repository)
    base = base_directory(repository, tree, cache, UID, UID)
    assert base == cache / "bases" / f"{tree}-{UID}"
    assert (base / "crlf").read_bytes() == objects.read_path(repository, tree, b"crlf")
    assert os.readlink(base / "dangling") == "/etc/passwd"  # noqa: PTH115
    assert (base / "d/e/x.sh").stat().st_mode & 0o777 == 0o755
    assert (base / "a.txt").stat().st_mode & 0o777 == 0o644
    assert {path.lstat().st_uid for path in (base, *base.rglob("*"))} == {UID}
    assert len({path.lstat().st_mtime_ns for path in (base, *base.rglob("*"))}) == 1
    assert harvest(repository, objects.EMPTY_TREE, changes(base, {})).tree == tree


def test_filters_hooks_and_monitors_of_the_user_never_run(repository: Repository, cache: Path, tmp_path: Path) -> None:
    """A checkout is where git would run most of them."""
    where = repository.common_dir.parent
    marker = tmp_path / "ran"
    for key in ("filter.lfs.smudge", "filter.lfs.process", "core.fsmonitor", "core.sshCommand"):
        git(where, "config", key, f"touch '{marker}'")
    git(where, "config", "core.autocrlf", "true")
    for hook in ("post-checkout", "post-index-change", "reference-transaction", "pre-auto-gc"):
        write(repository.common_dir, {f"hooks/{hook}": f"#!/bin/sh\ntouch '{marker}'\n"})
        (repository.common_dir / "hooks" / hook).chmod(0o755)
    before = picture(where)
    layer = git_layer(repository, _tree(repository), _head(repository), cache, UID, UID)
    assert layer.is_dir() and not marker.exists()
    assert picture(where) == before


def test_the_next_base_shares_what_did_not_change(repository: Repository, cache: Path) -> None:
    """Unchanged files are the same files, times included; changed ones are new; the first base stays as it was."""
    first = base_directory(repository, _tree(repository), cache, UID, UID, now=lambda: 1000.0)
    blob = objects.write_blob(repository, b"changed\n")
    changes_made = {
        b"a.txt": (objects.FILE, blob),
        b"crlf": (objects.EXECUTABLE, blob),
        b"d/e": (objects.SYMLINK, blob),
    }
    tree = write_tree_with(repository, _tree(repository), changes_made)
    second = base_directory(repository, tree, cache, UID, UID, now=lambda: 2000.0)
    assert (first / "l").stat().st_ino == (second / "l").stat().st_ino
    assert ((second / "l").stat().st_mtime, (second / "a.txt").stat().st_mtime) == (998, 1998)
    assert harvest(repository, objects.EMPTY_TREE, changes(second, {})).tree == tree
    assert harvest(repository, objects.EMPTY_TREE, changes(first, {})).tree == _tree(repository)
    assert _inside(_work(repository, tree, cache), "status", "--porcelain") == ""


def test_submodules_are_empty_folders(repository: Repository, cache: Path) -> None:
    """Their content is somebody else's; git inside finds nothing changed."""
    tree = write_tree_with(repository, _tree(repository), {b"libs/sub": (objects.GITLINK, _head(repository))})
    base = base_directory(repository, tree, cache, UID, UID)
    assert (base / "libs/sub").is_dir() and not list((base / "libs/sub").iterdir())
    work = _work(repository, tree, cache)
    assert _inside(work, "status", "--porcelain") == ""


def test_a_half_made_base_is_thrown_away_and_two_makers_agree(repository: Repository, cache: Path) -> None:
    """What a kill leaves behind is never taken for a base; four at once make one."""
    tree = _tree(repository)
    write(cache, {f"bases/.{tree}-{UID}.part/half": "x"})
    made: list[Path] = []
    makers = [
        threading.Thread(target=lambda: made.append(base_directory(repository, tree, cache, UID, UID)))
        for _ in range(4)
    ]
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join()
    assert set(made) == {cache / "bases" / f"{tree}-{UID}"} and len(made) == 4
    assert not (made[0] / "half").exists()
    assert not list((cache / "bases").glob(".*.part"))


@pytest.mark.parametrize(
    "entries",
    [
        [b"100644 .."],
        [b"100644 .git"],
        [b"100644 .GIT"],
        [b"100644 git~1"],
        [b"100644 ../x"],
        [b"100644 a/../../x"],
        [b"120000 link", b"100644 link/x"],
    ],
)
def test_a_tree_that_git_would_not_check_out_is_refused(
    repository: Repository, cache: Path, entries: list[bytes]
) -> None:
    """A repository from elsewhere may hold one; a slash in a name would lead out of the base, or through a link."""
    blob = objects.write_blob(repository, b"/tmp")
    raw = b"".join(b"%s\0" % about + bytes.fromhex(blob) for about in entries)
    tree = (
        subprocess.run(
            ["git", "hash-object", "-t", "tree", "-w", "--stdin", "--literally"],
            input=raw,
            cwd=repository.common_dir,
            capture_output=True,
            check=True,
        )
        .stdout.decode()
        .strip()
    )
    with pytest.raises(GitError, match="would not check out"):
        base_directory(repository, tree, cache, UID, UID)
    assert not list((cache / "bases").glob(f"{tree}*"))


def test_a_missing_object_or_a_cache_that_cannot_be_written_is_told(repository: Repository, cache: Path) -> None:
    """With what to do about it."""
    tree = _tree(repository)
    blob = objects.ls_tree(repository, tree)[b"a.txt"].id
    loose = repository.common_dir / "objects" / blob[:2] / blob[2:]
    content = loose.read_bytes()
    loose.unlink()
    with pytest.raises(GitError, match="is missing"):
        base_directory(repository, tree, cache, UID, UID)
    loose.write_bytes(content)
    write(cache, {"file": ""})
    with pytest.raises(GitError, match="XDG_CACHE_HOME"):
        base_directory(repository, tree, cache / "file", UID, UID)


def test_git_inside_is_clean_and_works_as_another_user(repository: Repository, cache: Path) -> None:
    """status, log, diff and commit, in a copy that only keeps the times; nothing is read to know that it is clean."""
    tree, head = _tree(repository), _head(repository)
    work = _work(repository, tree, cache)
    assert _inside(work, "status", "--porcelain") == ""
    assert _inside(work, "rev-parse", "HEAD") == head
    assert _inside(work, "write-tree") == tree
    assert len(_inside(work, "log", "--oneline").splitlines()) == 2
    assert _inside(work, "fsck", "--strict") == ""
    (work / "a.txt").write_text("changed\n")
    assert "+changed" in _inside(work, "diff")
    _inside(work, "commit", "-q", "-a", "-m", "inside")
    assert _inside(work, "log", "-1", "--format=%an <%ae> %s") == "relay <relay@relay.invalid> inside"
    _inside(work, "checkout", "-q", "-b", "mine", "HEAD~1")
    _inside(work, "tag", "t")


def test_head_is_a_commit_of_exactly_the_tree(repository: Repository, cache: Path) -> None:
    """Where the history's own commit has another tree, one is made, the same every time."""
    blob = objects.write_blob(repository, b"merged\n")
    tree = write_tree_with(repository, _tree(repository), {b"a.txt": (objects.FILE, blob)})
    layer = git_layer(repository, tree, _head(repository), cache, UID, UID)
    work = _work(repository, tree, cache)
    assert _inside(work, "rev-parse", "HEAD^{tree}", "HEAD^") == f"{tree}\n{_head(repository)}"
    assert _inside(work, "status", "--porcelain") == ""
    shutil.rmtree(layer)
    first = _inside(work, "rev-parse", "HEAD")
    again = git_layer(repository, tree, _head(repository), cache, UID, UID)
    assert again == layer and (again / ".git/HEAD").read_text().strip() == first


def test_only_what_is_reachable_from_the_history_is_inside(repository: Repository, cache: Path) -> None:
    """No other branch, no later tag, no note, no ref of relay's, no remote, no setting, no hook."""
    where = repository.common_dir.parent
    git(where, "tag", "-a", "v1", "-m", "one", "HEAD~1")
    git(where, "tag", "light")
    git(where, "tag", "li\u2028ne")
    git(where, "remote", "add", "origin", "https://user:token@example.com/x.git")
    git(where, "config", "alias.x", "!touch /tmp/x")
    git(where, "notes", "add", "-m", "note")
    history_tip = _head(repository)
    git(where, "checkout", "-q", "-b", "secret")
    secret = save(where, {"secret": "s"})
    git(where, "tag", "later")
    refs.move(repository, [refs.RefUpdate("refs/relay/runs/r1/journal", secret, None)])
    work = _work(repository, history.tree_of(repository, history_tip), cache, history_tip)
    tags = ["refs/tags/light", "refs/tags/li\u2028ne", "refs/tags/v1"]
    assert _inside(work, "for-each-ref", "--format=%(refname)").split("\n") == tags
    known = set(git(where, "rev-list", "--objects", "--no-object-names", history_tip, "v1").splitlines())
    inside = _inside(work, "cat-file", "--batch-all-objects", "--batch-check=%(objectname)").splitlines()
    assert set(inside) == known
    config = (work / ".git/config").read_text()
    assert "token" not in config and "alias" not in config
    assert not (work / ".git/hooks").exists() and not (work / ".git/logs").exists()


def test_the_base_pack_is_shared_and_new_commits_come_beside_it(repository: Repository, cache: Path) -> None:
    """After each landing only the new commits are packed."""
    start = _head(repository)
    first = git_layer(repository, _tree(repository), start, cache, UID, UID, base=start)
    tip = save(repository.common_dir.parent, {"more": "1"})
    second = git_layer(repository, history.tree_of(repository, tip), tip, cache, UID, UID, base=start)
    packs = [{path.stat().st_ino for path in (layer / ".git/objects/pack").glob("*.pack")} for layer in (first, second)]
    assert len(packs[0]) == 1 and packs[0] < packs[1]
    work = _work(repository, history.tree_of(repository, tip), cache, tip, base=start)
    assert len(_inside(work, "log", "--oneline").splitlines()) == 3
    assert _inside(work, "fsck", "--strict") == ""


def test_the_cache_may_lie_on_another_file_system(repository: Repository) -> None:
    """A repository on one disk, the home directory on another: git renames its packs, and must not have to cross."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        assert Path(folder).stat().st_dev != repository.common_dir.stat().st_dev
        Path(folder).chmod(0o755)
        work = _work(repository, _tree(repository), Path(folder))
        assert _inside(work, "status", "--porcelain") == ""
        assert _inside(work, "fsck", "--strict") == ""


def test_a_shallow_history_stays_shallow_inside(repository: Repository, cache: Path, tmp_path: Path) -> None:
    """git inside knows where the history was cut."""
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{repository.common_dir.parent}", "shallow")
    shallow = opened(tmp_path / "shallow")
    work = _work(shallow, _tree(shallow), cache)
    assert len(_inside(work, "log", "--oneline").splitlines()) == 1
    assert _inside(work, "status", "--porcelain") == ""


def _work(repository: Repository, tree: str, cache: Path, tip: str | None = None, **more: Any) -> Path:
    """What a sandbox would see, made by copying (times kept) instead of an overlay."""
    base = base_directory(repository, tree, cache, UID, UID)
    layer = git_layer(repository, tree, tip or _head(repository), cache, UID, UID, **more)
    work = Path(tempfile.mkdtemp(dir=cache))
    subprocess.run(["cp", "-a", f"{base}/.", f"{layer}/.", str(work)], check=True)
    os.chown(work, UID, UID)
    return work


def _inside(work: Path, *command: str) -> str:
    who = {"user": UID, "group": UID, "extra_groups": []} if os.geteuid() == 0 else {}
    done = subprocess.run(
        ["git", *command],
        cwd=work,
        env={"PATH": os.environ["PATH"], "HOME": "/"},
        capture_output=True,
        check=False,
        **who,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.decode().strip()
