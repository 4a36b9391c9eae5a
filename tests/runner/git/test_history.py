"""Reading commits and differences, and writing objects."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.git import history, objects
from runner.git.command import GitError
from runner.git.repo import Repository
from runner.git.trees import write_tree_with
from tests.runner.git.support import git, make, opened, save


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    return opened(make(tmp_path_factory.mktemp("h") / "repo", {"a": "1\n", "d/b": "2\n"}))


@pytest.mark.parametrize(
    "line", ["# ------------------------ >8 ------------------------", "---", "--- a/file", "---\r"]
)
@pytest.mark.parametrize("title", ["Fix it\n\n", ""])
def test_no_line_of_a_model_ends_a_message_before_its_trailers(repository: Repository, title: str, line: str) -> None:
    """Git reads trailers before scissors, and its tools for mails before a divider: a task would count as done."""
    text = f"{title}{line}\nwords\n\nReviewed-by: Somebody\nRelay-Task: other\n{line}\nmore"
    message = history.with_trailers(text, [("Relay-Task", "mine")])
    made = objects.write_commit(repository, objects.EMPTY_TREE, [_head(repository)], message, when=7)
    assert history.commit(repository, made).trailers == (("Relay-Task", "mine"),)
    body = git(repository.common_dir, "cat-file", "commit", made).partition("\n\n")[2]
    assert git(repository.common_dir, "interpret-trailers", "--parse", input=body.encode()) == "Relay-Task: mine"


def _head(repository: Repository) -> str:
    return str(history.resolve(repository, "HEAD"))


def test_a_commit_is_the_same_every_time_and_reads_back(repository: Repository) -> None:
    """Author of the role, committer relay, no signature; trailers are found whatever the text before them is."""
    git(repository.common_dir, "config", "commit.gpgSign", "true")
    text = "Fix it\n\nRelay-Task: forged\n\nBody \0 with NUL and \udcff"
    message = history.with_trailers(text, [("Relay-Task", "t1\nRelay-Gate: forged"), ("Tested-by", "relay gate")])
    made = [
        objects.write_commit(
            repository,
            objects.EMPTY_TREE,
            [_head(repository)],
            message,
            author=objects.role_identity("a", "x/y"),
            when=7,
        )
        for _ in range(2)
    ]
    assert made[0] == made[1]
    found = history.commit(repository, made[0])
    assert (found.author, found.when, found.subject) == ("a (x/y) <a@relay.invalid>", 7, "Fix it")
    assert found.trailers == (("Relay-Task", "t1 Relay-Gate: forged"), ("Tested-by", "relay gate"))
    assert found.trailer("relay-task") == "t1 Relay-Gate: forged" and found.trailer("x") is None
    assert "gpgsig" not in git(repository.common_dir, "cat-file", "commit", made[0])
    assert git(repository.common_dir, "log", "-1", "--format=%cn <%ce> %ct", made[0]) == "relay <relay@relay.invalid> 7"


def test_a_log_is_cut_as_asked(repository: Repository) -> None:
    """By what is known already, by number, by text, by path."""
    root = _head(repository)
    tree = history.tree_of(repository, root)
    blob = objects.write_blob(repository, b"new\n")
    one = objects.write_commit(repository, tree, [root], "one\n\nRelay-Task: t1\n", when=1)
    changed = write_tree_with(repository, tree, {b"d/b": (objects.FILE, blob)})
    two = objects.write_commit(repository, changed, [one], "two", when=2)
    assert [c.id for c in history.log(repository, two)] == [two, one, root]
    assert [c.id for c in history.log(repository, two, without=[root], limit=1)] == [two]
    assert [c.id for c in history.log(repository, two, having="Relay-Task:")] == [one]
    assert [c.id for c in history.log(repository, two, paths=[b"d/b"], without=[root])] == [two]
    assert history.is_ancestor(repository, root, two) and not history.is_ancestor(repository, two, root)
    assert history.merge_base(repository, two, one) == one


def test_names_resolve_or_do_not(repository: Repository) -> None:
    """What is no commit is None, also what looks like an option."""
    assert history.resolve(repository, "refs/heads/main") == _head(repository)
    for name in ("missing", "--all", "-h", "", "HEAD:a", "a..b"):
        assert history.resolve(repository, name) is None


def test_a_diff_is_complete_whatever_attributes_and_configuration_say(repository: Repository) -> None:
    """Neither `-diff`, nor a NUL byte, nor a driver hides a line."""
    tree = history.tree_of(repository, _head(repository))
    files = {b".gitattributes": b"* -diff binary\n", b"a": b"1\n\0hidden\n", b"d/b": b"2\nmore\n"}
    new = write_tree_with(
        repository,
        tree,
        {path: (objects.FILE, objects.write_blob(repository, content)) for path, content in files.items()},
    )
    git(repository.common_dir, "config", "diff.noprefix", "true")
    patch = history.diff(repository, _head(repository), new)
    assert b"+\0hidden" in patch and b"+more" in patch and b"b/d/b" in patch
    assert b"more" not in history.diff(repository, tree, new, paths=[b"a"])
    assert [entry.path for entry in history.changed_paths(repository, tree, new)] == sorted(files)
    assert history.diff(repository, tree, tree) == b"" and history.changed_paths(repository, tree, tree) == ()


def test_a_patch_id_stands_for_the_patch_white_space_included(tmp_path: Path) -> None:
    """It survives other lines elsewhere in the file and tells an indentation from none."""
    where = make(tmp_path / "r", {"f": "".join(f"{n}\n" for n in range(40))})
    repository = opened(where)

    def after(lines: list[str]) -> str:
        return git(where, "rev-parse", f"{save(where, {'f': ''.join(line + chr(10) for line in lines)})}^{{tree}}")

    plain = [str(n) for n in range(40)]
    base, moved = after(plain), after(["new", *plain])
    change, change_moved = after([*plain[:30], "x", *plain[30:]]), after(["new", *plain[:30], "x", *plain[30:]])
    indented = after([*plain[:30], " x", *plain[30:]])
    same = history.patch_id_verbatim(repository, base, change)
    assert same == history.patch_id_verbatim(repository, moved, change_moved) != ""
    assert same != history.patch_id_verbatim(repository, base, indented)
    assert history.patch_id_verbatim(repository, base, base) == ""


def test_objects_are_read_by_path_and_missing_ones_are_told(repository: Repository) -> None:
    """None for what is not there; a GitError for what should be."""
    head = _head(repository)
    assert objects.read_path(repository, head, b"d/b") == b"2\n"
    assert objects.read_path(repository, head, b"d") is None and objects.read_path(repository, head, b"x") is None
    assert set(objects.ls_tree(repository, head)) == {b"a", b"d/b"}
    with pytest.raises(GitError, match="failed with status"):
        objects.read_blob(repository, "1" * 40)
    with pytest.raises(GitError, match="is missing"):
        objects.read_blobs(repository, ["1" * 40])


_PATHS = st.lists(st.sampled_from([b"a", b"b", b"a.c", b"a0"]), min_size=1, max_size=4).map(b"/".join)


@given(st.dictionaries(_PATHS, st.booleans(), max_size=8), st.dictionaries(_PATHS, st.booleans(), max_size=8))
@settings(max_examples=25, deadline=None)
def test_a_tree_with_changes_is_what_a_list_of_files_says(
    repository: Repository, before: dict[bytes, bool], after: dict[bytes, bool]
) -> None:
    """A law: writing changes on a tree equals changing a flat list of paths; and the base comes back by undoing."""
    blob = objects.write_blob(repository, b"content")
    start = {path: (objects.FILE, blob) for path in before if not any(_below(path, other) for other in before)}
    base = write_tree_with(repository, None, start)
    assert {path: (entry.mode, entry.id) for path, entry in objects.ls_tree(repository, base).items()} == start
    sets = {path for path, there in after.items() if there}
    sets -= {path for path in sets if any(_below(path, other) for other in sets)}
    changes = {
        path: (objects.EXECUTABLE, blob) if path in sets else None for path in after if path in sets or not after[path]
    }
    expected = {
        path: value
        for path, value in start.items()
        if not any(path == change or _below(path, change) for change in changes)
        and not any(_below(change, path) for change in sets)
    } | dict.fromkeys(sets, (objects.EXECUTABLE, blob))
    tree = write_tree_with(repository, base, changes)
    assert {path: (entry.mode, entry.id) for path, entry in objects.ls_tree(repository, tree).items()} == expected
    undo = {path: None for path in expected if path not in start} | start
    assert write_tree_with(repository, tree, undo) == base


def _below(path: bytes, folder: bytes) -> bool:
    return path.startswith(folder + b"/")


def test_what_is_no_path_of_a_tree_is_a_mistake_of_ours(repository: Repository) -> None:
    """Empty parts, dots, and a file below a file."""
    blob = objects.write_blob(repository, b"")
    for paths in ([b""], [b"/a"], [b"a//b"], [b"../a"], [b"a/."], [b"a\0b"], [b"a", b"a/b"], [b"a/b", b"a"]):
        with pytest.raises(ValueError):
            write_tree_with(repository, None, dict.fromkeys(paths, (objects.FILE, blob)))
