"""Opening a user's repository: every shape it may have, every sentence it may give, and nothing of it changed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runner.git import history, objects, refs, survey
from runner.git.command import GitError
from runner.git.repo import open_repository
from tests.runner.git.support import git, make, opened, picture, save, write


def _says(path: Path, *words: str) -> None:
    with pytest.raises(GitError) as told:
        open_repository(path, environ={})
    assert all(word in str(told.value) for word in words), told.value


def test_a_folder_inside_with_spaces_and_unicode_opens_its_repository(tmp_path: Path) -> None:
    """Also a `$` that somebody could expand, and from any folder in it."""
    where = make(tmp_path / "my $HOME ü\n x", {"deep er/f": "1"})
    repository = opened(where / "deep er")
    assert (repository.work_tree, repository.common_dir) == (where, where / ".git")
    assert history.resolve(repository, "main") == git(where, "rev-parse", "HEAD")
    assert (repository.state.stat().st_mode & 0o777) == 0o700


def test_linked_work_tree_bare_repository_and_submodule_open(tmp_path: Path) -> None:
    """All three share the one rule: state lies in the common directory."""
    main = make(tmp_path / "main")
    git(main, "worktree", "add", "-q", "-b", "side", tmp_path / "side")
    linked = opened(tmp_path / "side")
    assert (linked.work_tree, linked.common_dir) == (tmp_path / "side", main / ".git")
    assert survey.default_branch(linked) == "refs/heads/side"
    git(tmp_path, "clone", "-q", "--bare", main, "bare.git")
    bare = opened(tmp_path / "bare.git")
    assert (bare.work_tree, bare.common_dir) == (None, tmp_path / "bare.git")
    assert survey.checked_out_branches(bare) == {}
    git(main, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", tmp_path / "bare.git", "sub")
    git(main, "commit", "-qm", "with a submodule")
    assert opened(main / "sub").common_dir == main / ".git/modules/sub"
    repository = opened(main)
    facts = survey.facts_at_start(repository, history.tree_of(repository, git(main, "rev-parse", "main")))
    assert facts.submodules == (b"sub",)


def test_shallow_lfs_and_sparse_are_told(tmp_path: Path) -> None:
    """They work, and the user hears what the tests will not see."""
    make(tmp_path / "r", {".gitattributes": "*.bin filter=lfs diff=lfs -text\n", "d/a": "1"})
    save(tmp_path / "r", {"b": "2"})
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{tmp_path}/r", "shallow")
    git(tmp_path / "shallow", "sparse-checkout", "set", "d")
    repository = opened(tmp_path / "shallow")
    facts = survey.facts_at_start(repository, history.tree_of(repository, str(history.resolve(repository, "HEAD"))))
    assert facts == survey.Facts(submodules=(), lfs=(b".gitattributes",), shallow=True, sparse=True, partial=False)


def test_what_cannot_be_opened_is_said_with_what_to_do(tmp_path: Path) -> None:
    """A clear sentence each: no folder, no repository, no commit, SHA-256, a ref in the way."""
    _says(tmp_path / "missing", "is not a folder")
    _says(tmp_path, "not in a git repository", "git init")
    git(tmp_path, "init", "-q", "unborn")
    _says(tmp_path / "unborn", "no commit yet", "git commit")
    git(tmp_path, "init", "-q", "--object-format=sha256", "sha256")
    _says(tmp_path / "sha256", "sha256", "SHA-1")
    taken = make(tmp_path / "taken")
    git(taken, "branch", "relay")
    git(taken, "pack-refs", "--all")
    _says(taken, "branch named `relay`", "git branch -m relay")
    git(taken, "branch", "-m", "relay", "other")
    git(taken, "update-ref", "refs/notes/relay", "HEAD")
    _says(taken, "refs/notes/relay", "git update-ref -d")


def test_another_users_repository_is_refused_as_git_does(tmp_path: Path) -> None:
    """`safe.directory` is the user's word; relay does not weaken it, and honours it."""
    where = make(tmp_path / "theirs")
    if os.geteuid() == 0:
        os.chown(where, 58271, 58271)
        os.chown(where / ".git", 58271, 58271)
        _says(where, "belongs to another user", "safe.directory")
        write(tmp_path / "home", {".gitconfig": f"[safe]\n\tdirectory = {where}\n"})
    assert open_repository(where, environ={"HOME": str(tmp_path / "home")}).work_tree == where


def test_an_unborn_or_detached_head_has_no_branch_to_land_on(tmp_path: Path) -> None:
    """The repository opens all the same: the pipeline may name its target."""
    where = make(tmp_path / "r")
    git(where, "checkout", "-q", "--orphan", "new")
    with pytest.raises(GitError, match="has no commit yet"):
        survey.default_branch(opened(where))
    git(where, "checkout", "-q", "--detach", "main", "-f")
    with pytest.raises(GitError, match="target:"):
        survey.default_branch(opened(where))


def test_the_environment_of_the_user_has_no_effect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a leftover GIT_DIR nor a GIT_CONFIG_COUNT that starts a program."""
    where = make(tmp_path / "r")
    other = make(tmp_path / "other", {"z": ""})
    for name, value in {
        "GIT_DIR": str(other / ".git"),
        "GIT_WORK_TREE": str(other),
        "GIT_INDEX_FILE": "/nowhere",
        "GIT_OBJECT_DIRECTORY": "/nowhere",
        "GIT_ALTERNATE_OBJECT_DIRECTORIES": "/nowhere",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "core.hooksPath",
        "GIT_CONFIG_VALUE_0": str(tmp_path / "hooks"),
        "GIT_CONFIG_PARAMETERS": "'core.bare=true'",
        "GIT_NAMESPACE": "x",
        "GIT_TRACE": str(tmp_path / "trace"),
        "GIT_AUTHOR_NAME": "Mallory",
        "GIT_DEFAULT_HASH": "sha256",
        "GIT_REPLACE_REF_BASE": "refs/x/",
    }.items():
        monkeypatch.setenv(name, value)
    repository = open_repository(where)
    head = str(history.resolve(repository, "HEAD"))
    made = objects.write_commit(repository, history.tree_of(repository, head), [head], "x", when=1)
    refs.move(repository, [refs.RefUpdate("refs/relay/x", made, None)])
    assert history.commit(repository, made).author == "relay <relay@relay.invalid>"
    assert refs.read(repository, "refs/relay/x") == made
    assert repository.common_dir == where / ".git"
    assert not (tmp_path / "trace").exists()


def test_alternates_of_the_user_work_and_replace_refs_do_not(tmp_path: Path) -> None:
    """A clone that borrows objects is as good as any; a replaced object is not shown."""
    origin = make(tmp_path / "origin", {"f": "true\n"})
    git(tmp_path, "clone", "-q", "--shared", origin, "borrower")
    where = tmp_path / "borrower"
    repository = opened(where)
    real = git(where, "rev-parse", "HEAD:f")
    fake = objects.write_blob(repository, b"fake\n")
    git(where, "replace", real, fake)
    assert objects.read_path(repository, git(where, "rev-parse", "HEAD"), b"f") == b"true\n"


def test_branches_held_by_any_work_tree_are_found(tmp_path: Path) -> None:
    """Checked out, in the middle of a rebase, or of a bisect: none may be moved under its user."""
    where = make(tmp_path / "r", {"f": "1\n"})
    for name in ("linked", "rebased", "bisected", "free"):
        git(where, "branch", name)
    git(where, "worktree", "add", "-q", tmp_path / "w1", "linked")
    git(where, "worktree", "add", "-q", tmp_path / "w2", "rebased")
    save(tmp_path / "w2", {"f": "2\n"})
    save(where, {"f": "3\n"})
    with pytest.raises(AssertionError, match=r"CONFLICT|could not apply"):
        git(tmp_path / "w2", "rebase", "main")
    git(where, "worktree", "add", "-q", tmp_path / "w3", "bisected")
    git(tmp_path / "w3", "bisect", "start")
    git(tmp_path / "w3", "checkout", "-q", "--detach")
    held = survey.checked_out_branches(opened(where))
    assert {name: (entry.how, entry.where) for name, entry in held.items()} == {
        "refs/heads/main": ("checkout", where),
        "refs/heads/linked": ("checkout", tmp_path / "w1"),
        "refs/heads/rebased": ("rebase", tmp_path / "w2"),
        "refs/heads/bisected": ("bisect", tmp_path / "w3"),
    }


def test_uncommitted_work_is_told_without_running_the_users_filters(tmp_path: Path) -> None:
    """Staged, changed and untracked files; ignored ones are no news. Neither filter nor monitor runs."""
    where = make(tmp_path / "r", {"a": "1", "b": "1", ".gitignore": "*.o\n", ".gitattributes": "* filter=evil\n"})
    assert survey.uncommitted(opened(where)) == ()
    marker = tmp_path / "ran"
    for key in ("filter.evil.clean", "core.fsmonitor"):
        git(where, "config", key, f"touch '{marker}'; cat")
    write(where, {"b": "22", "new/n": "", "x.o": ""})
    (where / "a").unlink()
    before = picture(where)
    assert survey.uncommitted(opened(where)) == (b"a", b"b", b"new/")
    assert picture(where) == before
    assert not marker.exists()


def test_opening_twice_changes_nothing_of_the_users(tmp_path: Path) -> None:
    """Only `.git/relay` is new."""
    where = make(tmp_path / "r")
    before = picture(where)
    assert opened(where) == opened(where)
    assert picture(where) == before
