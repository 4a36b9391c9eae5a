"""What a tree takes from a workspace: the same as `git add -A` would, without running git in it."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.git import history, hostfile
from runner.git.harvest import Harvest, Limits, harvest
from runner.git.names import is_dot_git, is_dot_gitmodules
from runner.git.objects import EXECUTABLE, GITLINK, SYMLINK, entry, ls_tree, read_blob, write_blob
from runner.git.repo import Repository
from runner.git.trees import write_tree_with
from tests.runner.git.support import Path_, Seen, changes, git, make, opened, picture, write


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return opened(
        make(tmp_path / "repo", {".gitignore": "*.log\nbuild/\n", "a.txt": "a\n", "d/x": "x\n", "d/y": "y\n"})
    )


def _tree(repository: Repository) -> str:
    return history.tree_of(repository, str(history.resolve(repository, "HEAD")))


def _work(repository: Repository, where: Path) -> Path:
    """A copy of the work tree, without its .git."""
    assert repository.work_tree is not None
    shutil.copytree(repository.work_tree, where, symlinks=True, ignore=shutil.ignore_patterns(".git"))
    return where


def _harvest(repository: Repository, work: Path, limits: Limits | None = None) -> Harvest:
    tree = _tree(repository)
    return harvest(repository, tree, changes(work, ls_tree(repository, tree)), limits=limits or Limits())


def test_edited_new_removed_and_executable_files_and_links_are_taken(repository: Repository, tmp_path: Path) -> None:
    """The ordinary turn."""
    work = _work(repository, tmp_path / "w")
    write(work, {"a.txt": "changed\n", "new/deep/n.py": "n\n", "run.sh": "#!/bin/sh\n"})
    (work / "run.sh").chmod(0o755)
    (work / "link").symlink_to("/etc/passwd")
    (work / "d/y").unlink()
    result = _harvest(repository, work)
    assert result.changed == (b"a.txt", b"d/y", b"link", b"new/deep/n.py", b"run.sh")
    tree = ls_tree(repository, result.tree)
    assert (tree[b"run.sh"].mode, tree[b"link"].mode) == (EXECUTABLE, SYMLINK)
    assert read_blob(repository, tree[b"link"].id) == b"/etc/passwd"
    assert b"d/y" not in tree
    assert result.ignored == result.refused == ()


def test_nothing_changed_gives_the_base_itself(repository: Repository, tmp_path: Path) -> None:
    """A report of paths that are as they were is no change."""
    result = _harvest(repository, _work(repository, tmp_path / "w"))
    assert (result.tree, result.changed) == (_tree(repository), ())


def test_ignored_new_files_are_listed_and_tracked_ones_never_ignored(repository: Repository, tmp_path: Path) -> None:
    """The rules are those of the workspace, nested and negated ones too; what is tracked stays tracked."""
    base = write_tree_with(repository, _tree(repository), {b"kept.log": (0o100644, write_blob(repository, b"1\n"))})
    work = _work(repository, tmp_path / "w")
    write(work, {"kept.log": "2\n", "new.log": "", "build/o": "", "d/.gitignore": "!*.log\nz/*\n!z/k\n", "d/n.log": ""})
    write(work, {"d/z/a": "", "d/z/k": "", ".cache/.gitignore": "*\n", ".cache/v": ""})
    result = harvest(repository, base, changes(work, ls_tree(repository, base)))
    assert result.changed == (b"d/.gitignore", b"d/n.log", b"d/z/k", b"kept.log")
    assert result.ignored == (b".cache/.gitignore", b".cache/v", b"build/o", b"d/z/a", b"new.log")


def test_the_users_own_excludes_do_not_count(repository: Repository, tmp_path: Path) -> None:
    """`.git/info/exclude` and `core.excludesFile` are about the user's own mess, not about the change."""
    write(repository.common_dir, {"info/exclude": "*.py\n"})
    write(tmp_path, {"excludes": "*.py\n"})
    git(repository.common_dir, "config", "core.excludesFile", tmp_path / "excludes")
    work = _work(repository, tmp_path / "w")
    write(work, {"n.py": ""})
    assert _harvest(repository, work).changed == (b"n.py",)


def test_any_spelling_of_a_git_directory_is_dropped_and_reported(repository: Repository, tmp_path: Path) -> None:
    """A nested repository gives its files only; the workspace's own `.git` is no news."""
    work = _work(repository, tmp_path / "w")
    write(work, {".git/config": "[core]\n", "sub/.git/config": "[core]\n", "sub/f": "f\n", ".GIT/x": "", "d/git~1": ""})
    write(work, {"d/.git. . /x": "", "d/.g\u200cit/x": "", "d/.git::$INDEX_ALLOCATION/x": "", "d/.gitx": ""})
    result = _harvest(repository, work)
    assert result.changed == (b"d/.gitx", b"sub/f")
    assert {refused.path for refused in result.refused} == {
        b".GIT",
        b"d/.git. . ",
        b"d/.git::$INDEX_ALLOCATION",
        "d/.g\u200cit".encode(),
        b"d/git~1",
        b"sub/.git",
    }


def test_devices_fifos_and_sockets_are_refused_and_do_not_block(repository: Repository, tmp_path: Path) -> None:
    """Also where the report calls them files: the open file decides."""
    work = _work(repository, tmp_path / "w")
    os.mkfifo(work / "fifo")
    (work / "a.txt").unlink()
    os.mkfifo(work / "a.txt")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(work / "sock"))
    seen = changes(work, ls_tree(repository, _tree(repository)))
    lied = Seen(tuple(Path_(change.path, "file", change.host) for change in seen.present), seen.removed)
    for report in (seen, lied):
        result = harvest(repository, _tree(repository), report)
        assert result.changed == ()
        assert [refused.path for refused in result.refused] == [b"a.txt", b"fifo", b"sock"]


def test_a_link_on_the_way_is_not_followed(repository: Repository, tmp_path: Path) -> None:
    """A folder that was swapped for a link after the report leads nowhere."""
    write(tmp_path / "secret", {"x": "key"})
    work = _work(repository, tmp_path / "w")
    seen = changes(work, {})
    shutil.rmtree(work / "d")
    (work / "d").symlink_to(tmp_path / "secret")
    result = harvest(repository, _tree(repository), seen)
    assert {refused.path for refused in result.refused} == {b"d/x", b"d/y"}
    assert result.changed == ()


def test_submodules_pass_through_and_cannot_be_touched(repository: Repository, tmp_path: Path) -> None:
    """Neither by a file below, nor by removing, nor by taking its place or that of a folder above it."""
    commit = str(history.resolve(repository, "HEAD"))
    base = write_tree_with(repository, _tree(repository), {b"libs/sub": (GITLINK, commit), b"e/sub": (GITLINK, commit)})
    work = _work(repository, tmp_path / "w")
    write(work, {"libs/sub/f": "", "e": "", "a.txt": "more\n"})
    result = harvest(repository, base, Seen(changes(work, {}).present, (b"libs/sub", b"libs", b"e/sub")))
    assert result.changed == (b"a.txt",)
    assert {refused.path for refused in result.refused} == {b"libs/sub", b"e", b"e/sub"}
    found = entry(repository, result.tree, b"libs/sub")
    assert found is not None and (found.mode, found.id) == (GITLINK, commit)


def test_odd_names_survive_byte_for_byte(repository: Repository, tmp_path: Path) -> None:
    """Newlines, quotes, colons, bytes that are no UTF-8."""
    names = [
        b"a\nb",
        b"\xff\xfe",
        "ü \u202e".encode(),
        b":(top)x",
        b'"q"',
        b"-n",
        b" lead",
        b"back\\slash",
        b"a:b/c?*[d",
    ]
    work = _work(repository, tmp_path / "w")
    for name in names:
        path = work / os.fsdecode(name)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(name)
    (work / ".gitignore").write_bytes(b"\\:(top)*\n\xff*\n")
    result = _harvest(repository, work)
    assert set(result.changed) == {*names, b".gitignore"} - {b":(top)x", b"\xff\xfe"}
    assert result.ignored == (b":(top)x", b"\xff\xfe")
    tree = ls_tree(repository, result.tree)
    assert all(read_blob(repository, tree[name].id) == name for name in names if name in tree)


def test_a_link_called_gitmodules_is_refused(repository: Repository, tmp_path: Path) -> None:
    """git fsck calls such a tree broken."""
    work = _work(repository, tmp_path / "w")
    (work / ".GitModules").symlink_to("elsewhere")
    assert [refused.path for refused in _harvest(repository, work).refused] == [b".GitModules"]


@pytest.mark.parametrize(
    ("limits", "refused", "exceeded"),
    [
        (Limits(file_bytes=3), [b"big"], None),
        (Limits(depth=2), [b"p/q/r"], None),
        (Limits(path_bytes=4), [b"p/q/r"], None),
        (Limits(files=6), [], "more than 6 files changed"),
        (Limits(total_bytes=4), [], "more than 4 bytes changed"),
    ],
)
def test_each_limit_is_named(
    repository: Repository, tmp_path: Path, limits: Limits, refused: list[bytes], exceeded: str | None
) -> None:
    """A file that is too much is left out by name; a harvest that is too much is not taken at all."""
    work = tmp_path / "w"
    write(work, {"big": "1234", "p/q/r": "1", "1": "", "2": "", "3": "", "4": "", "5": ""})
    result = harvest(repository, _tree(repository), changes(work, {}), limits=limits)
    assert [item.path for item in result.refused] == refused
    assert result.exceeded == exceeded
    assert (result.tree == _tree(repository)) == (exceeded is not None)


def test_sparse_files_are_not_read_and_huge_ignore_rules_are_a_limit(repository: Repository, tmp_path: Path) -> None:
    """Both cost a model nothing: a terabyte of no bytes, and a megabyte of rules in each of a thousand folders."""
    work = _work(repository, tmp_path / "w")
    for number in range(1000):
        with (work / f"sparse{number}").open("wb") as file:
            file.truncate(1024**4)
    assert {why.why for why in _harvest(repository, work).refused} == {"is larger than 52428800 bytes"}
    for number in range(1000):
        write(work, {f"d{number}/x": ""})
        with (work / f"d{number}/.gitignore").open("wb") as file:
            file.truncate(1024**2)
    assert _harvest(repository, work).exceeded == "the .gitignore files have more than 16777216 bytes"


def test_slow_patterns_are_a_limit_and_no_hang(repository: Repository, tmp_path: Path) -> None:
    """A `.gitignore` that would keep a regular expression busy for hours costs nothing noticeable."""
    work = _work(repository, tmp_path / "w")
    write(work, {".gitignore": "*a" * 60 + "b\n", "a" * 240: ""})
    assert _harvest(repository, work).exceeded in (None, "the patterns of .gitignore take too long")


def test_a_file_without_permissions_is_read_by_its_owner_and_left_as_it_was() -> None:
    """A model may `chmod 000` what it wrote; relay without root reads it all the same."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        write(work, {"d/f": "content"})
        (work / "d/f").chmod(0o100)
        (work / "d").chmod(0)

        def attempt() -> None:
            found = hostfile.read(work / "d/f", b"d/f", limit=100)
            assert found == hostfile.HostFile(EXECUTABLE, b"content")

        assert _as_nobody(attempt, work) == 0
        assert stat.S_IMODE((work / "d").stat().st_mode) == 0
        (work / "d").chmod(0o700)
        assert stat.S_IMODE((work / "d/f").stat().st_mode) == 0o100


def _as_nobody(action: Callable[[], None], where: Path) -> int:
    """Run `action` in a child, as somebody unprivileged who owns all below `where` (only when we are root)."""
    if os.geteuid() == 0:
        for path in (where, *where.rglob("*")):
            os.chown(path, 58271, 58271)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(58271)
                os.setuid(58271)
            action()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.parametrize(
    "name", [b".git", b".GiT", b"git~1", b"GIT~1 .", b".git::$DATA", b"a\\.git", ".g\u200cit".encode()]
)
def test_names_that_are_git_to_some_file_system(name: bytes) -> None:
    """The same as git's own is_ntfs_dotgit and is_hfs_dotgit."""
    assert is_dot_git(name)


@pytest.mark.parametrize("name", [b".gitx", b"git", b"git~2", b".gi\xc3\xaft", b".gitignore", b"..git", b".git~1"])
def test_names_that_only_look_like_git(name: bytes) -> None:
    """Ordinary names stay free."""
    assert not is_dot_git(name)
    assert is_dot_gitmodules(b".GITMODULES") and not is_dot_gitmodules(name)


# A small world in which folders, files and patterns meet often.
_NAMES = st.sampled_from(["a", "b", "a.o", "b.o", "keep", "x y", ".hid"])
_PATHS = st.lists(_NAMES, min_size=1, max_size=4).map("/".join)
_SOME = (
    "*.o|!b.o|a/|!a/|/a|a/*|!a/b|**/b|a/**|"
    "!a/**/keep|*|!*/|keep|!keep|/b/a/|# c|\\!x|x y|x\\ y|b/**/a.o|[ab]|!a|.*|*/a.o|!b/"
)
_PATTERNS = st.lists(st.sampled_from(_SOME.split("|")), max_size=5).map(
    lambda lines: "".join(f"{line}\n" for line in lines)
)
_FILES = st.dictionaries(_PATHS, st.sampled_from(["1", "2", "link", "exec"]), max_size=10)
_RULES = st.dictionaries(
    st.sampled_from([".gitignore", "a/.gitignore", "b/.gitignore", "a/b/.gitignore", "b/a/.gitignore"]),
    _PATTERNS,
    max_size=4,
)


def _fill(where: Path, files: dict[str, str]) -> None:
    """Files by name; where two paths exclude each other, the first wins."""
    for name, content in files.items():
        path = where / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.is_dir():
                continue
            path.unlink(missing_ok=True)
            if content == "link":
                path.symlink_to("nowhere")
                continue
            path.write_text(content)
            path.chmod(0o755 if content == "exec" else 0o644)
        except OSError:
            continue


@pytest.fixture(scope="module")
def law_repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    return opened(make(tmp_path_factory.mktemp("law") / "repo", {}))


@given(_FILES, _RULES, _FILES, _RULES, st.booleans())
@settings(max_examples=25, deadline=None)
def test_the_tree_is_what_git_add_would_make(
    law_repository: Repository,
    before: dict[str, str],
    rules_before: dict[str, str],
    after: dict[str, str],
    rules_after: dict[str, str],
    start_anew: bool,
) -> None:
    """A law: for every tree, every work tree and every set of ignore rules, harvest and `git add -A` agree."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        _fill(work, {**before, **rules_before})
        env = {"GIT_DIR": str(law_repository.common_dir), "GIT_WORK_TREE": folder, "GIT_INDEX_FILE": f"{folder}.index"}
        try:
            git(work, "add", "-A", "-f", env=env)
            base = git(work, "write-tree", env=env)
            if start_anew:
                shutil.rmtree(work)
                work.mkdir()
            _fill(work, {**after, **rules_after})
            result = harvest(law_repository, base, changes(work, ls_tree(law_repository, base)))
            git(work, "add", "-A", env=env)
            assert result.tree == git(work, "write-tree", env=env)
            expected = git(work, "ls-files", "-o", "-i", "--exclude-standard", "-z", env=env).split("\0")[:-1]
            assert [os.fsdecode(path) for path in result.ignored] == sorted(expected)
        finally:
            Path(f"{folder}.index").unlink(missing_ok=True)


def test_a_harvest_changes_nothing_of_the_users(repository: Repository, tmp_path: Path) -> None:
    """Objects only; and the repository is sound after."""
    assert repository.work_tree is not None
    before = picture(repository.work_tree)
    work = _work(repository, tmp_path / "w")
    write(work, {f"n{number}": str(number) for number in range(150)})
    assert len(_harvest(repository, work).changed) == 150
    assert picture(repository.work_tree) == before
    git(repository.work_tree, "fsck", "--strict")
