"""What would land: the merge, made from objects, the same on every machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.git import history, objects
from runner.git.candidate import Conflict, Merged, merge
from runner.git.command import GitError
from runner.git.repo import Repository
from tests.runner.git.support import git, make, opened, picture, save, write


def _branches(where: Path, ours: dict[str, str], theirs: dict[str, str]) -> tuple[Repository, str, str]:
    """Two commits on the same base, and the work tree back on main."""
    git(where, "checkout", "-q", "-b", "side")
    right = save(where, theirs)
    git(where, "checkout", "-q", "main")
    left = save(where, ours)
    return opened(where), left, right


def test_a_clean_merge_is_the_tree_that_git_merge_makes(tmp_path: Path) -> None:
    """Edits on both sides, one of them under a new name."""
    where = make(tmp_path / "r", {"f": "1\n2\n3\n4\n5\n", "old": "x\n" * 20})
    repository, left, right = _branches(where, {"f": "one\n2\n3\n4\n5\n"}, {"f": "1\n2\n3\n4\nfive\n", "d/new": "n\n"})
    result = merge(repository, left, right)
    git(where, "merge", "-q", "--no-edit", "side")
    assert result == Merged(git(where, "rev-parse", "HEAD^{tree}"))
    assert merge(repository, right, left) == result
    assert merge(repository, left, left) == Merged(history.tree_of(repository, left))


def test_a_repository_that_came_with_a_relay_folder_runs_nothing(tmp_path: Path) -> None:
    """A file in relay's own git directory would say that its settings are elsewhere, a merge driver among them."""
    where = make(tmp_path / "r", {".gitattributes": "f merge=evil\n", "f": "1\n2\n3\n4\n5\n"})
    evil, marker = tmp_path / "evil", tmp_path / "ran"
    write(where / ".git/relay/git", {"commondir": f"{evil}\n", "info/grafts": ""})
    git(tmp_path, "init", "-q", "--bare", evil)
    git(evil, "config", "merge.evil.driver", f"touch '{marker}'")
    repository, left, right = _branches(where, {"f": "one\n2\n3\n4\n5\n"}, {"f": "1\n2\n3\n4\nfive\n"})
    merged = merge(repository, left, right)
    assert isinstance(merged, Merged)
    assert objects.read_path(repository, merged.tree, b"f") == b"one\n2\n3\n4\nfive\n"
    assert not marker.exists()


def test_a_conflict_is_data_for_the_next_turn(tmp_path: Path) -> None:
    """The tree with markers, each path with its versions, the messages of git."""
    where = make(tmp_path / "r", {"f\n ü": "1\n", "gone": "1\n"})
    repository, left, right = _branches(where, {"f\n ü": "ours\n", "gone": "2\n"}, {"f\n ü": "theirs\n"})
    git(where, "checkout", "-q", "side")
    git(where, "rm", "-q", "gone")
    right = save(where, {})
    result = merge(repository, left, right)
    assert isinstance(result, Conflict)
    name = "f\n ü".encode()
    assert {path: [stage.stage for stage in stages] for path, stages in result.paths.items()} == {
        name: [1, 2, 3],
        b"gone": [1, 2],
    }
    assert len(result.messages) == 2 and all("CONFLICT" in message for message in result.messages)
    marked = objects.read_path(repository, result.tree, name)
    assert marked is not None and b"<<<<<<<" in marked and b"theirs" in marked


@pytest.mark.parametrize("attributes", [".gitattributes", "d/.gitattributes"])
def test_the_landing_branchs_own_attributes_decide_and_no_others(tmp_path: Path, attributes: str) -> None:
    """`merge=union` counts where the landing branch says so; what lies in the user's work tree does not."""
    name = "d/log.txt"
    where = make(tmp_path / "r", {name: "1\n"})
    pattern = "log.txt merge=union\n"
    repository, left, right = _branches(where, {name: "1\nours\n", attributes: pattern}, {name: "1\ntheirs\n"})
    (where / attributes).unlink()
    result = merge(repository, left, right)
    assert isinstance(result, Merged)
    assert objects.read_path(repository, result.tree, name.encode()) == b"1\nours\ntheirs\n"
    # The other way round it is the change that brings the rule: the author does not judge.
    write(where, {attributes: pattern})
    assert isinstance(merge(repository, right, left), Conflict)


def test_a_merge_driver_of_the_users_never_runs(tmp_path: Path) -> None:
    """Nor a filter, hook or file system monitor; and nothing of the user's is touched."""
    where = make(tmp_path / "r", {"f": "1\n", ".gitattributes": "f merge=evil filter=evil diff=evil\n"})
    repository, left, right = _branches(where, {"f": "2\n"}, {"f": "3\n"})
    marker = tmp_path / "ran"
    for key in ("merge.evil.driver", "filter.evil.smudge", "filter.evil.clean", "diff.evil.textconv", "core.fsmonitor"):
        git(where, "config", key, f"touch '{marker}'")
    git(where, "config", "diff.external", f"touch '{marker}'")
    before = picture(where)
    assert isinstance(merge(repository, left, right), Conflict)
    assert history.diff(repository, left, right).count(b"\n+3") == 1
    assert not marker.exists()
    assert picture(where) == before
    git(where, "-c", "core.fsmonitor=false", "fsck", "--strict")


def test_without_a_common_ancestor_the_user_hears_what_to_do(tmp_path: Path) -> None:
    """A shallow clone needs its history; unrelated histories cannot be merged."""
    where = make(tmp_path / "r", {"f": "1\n"})
    _, left, right = _branches(where, {"f": "2\n"}, {"g": "3\n"})
    git(tmp_path, "clone", "-q", "--depth=1", "--no-single-branch", f"file://{where}", "shallow")
    for ask in (merge, history.merge_base):
        with pytest.raises(GitError, match="git fetch --unshallow"):
            ask(opened(tmp_path / "shallow"), left, right)
    alone = git(where, "commit-tree", "HEAD^{tree}", "-m", "root")
    with pytest.raises(GitError, match="unrelated"):
        merge(opened(where), left, alone)


def test_an_unknown_commit_is_gits_failure_with_its_command(tmp_path: Path) -> None:
    """What git said is shown as it said it."""
    repository = opened(make(tmp_path / "r"))
    with pytest.raises(GitError, match=r"git ls-tree .* failed with status"):
        merge(repository, "1" * 40, "2" * 40)
