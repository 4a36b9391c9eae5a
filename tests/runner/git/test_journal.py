"""The journal and the notes: written once, in order, and never lost to another writer."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.git import history, notes, objects, refs
from runner.git.command import GitError
from runner.git.journal import Journal, encode
from runner.git.repo import Repository
from runner.git.trees import write_tree_with
from tests.runner.git.support import git, make, opened, picture

REF = "refs/relay/runs/r1/journal"
NOTES = "refs/notes/relay/gate"


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return opened(make(tmp_path / "repo"))


@pytest.fixture
def journal(repository: Repository) -> Journal:
    return Journal(repository, REF, now=lambda: 1_700_000_000.0)


def test_entries_come_back_in_order_with_their_files(repository: Repository, journal: Journal) -> None:
    """The order is that of the commits, not of the names."""
    journal.append("z", {"n": 1, "text": "ü \udc80\n"}, {"log": b"\0raw", "other.txt": b""})
    journal.append("a.r1.gate", {"n": 2})
    journal.append("m", {})
    assert [(entry.key, entry.value.get("n")) for entry in journal.entries()] == [
        ("z", 1),
        ("a.r1.gate", 2),
        ("m", None),
    ]
    found = journal.find("z")
    assert found is not None and found.value["text"] == "ü \udc80\n"
    assert objects.read_blob(repository, found.files["log"]) == b"\0raw"
    assert journal.find("missing") is None
    assert Journal(repository, "refs/relay/none").entries() == ()
    assert Journal(repository, "refs/relay/none").find("z") is None


def test_the_same_entry_again_is_nothing_and_another_one_is_an_error(repository: Repository, journal: Journal) -> None:
    """A step that is repeated after a kill may write its record again; it may not change its mind."""
    first = journal.append("k", {"a": 1}, {"f": b"x"})
    assert journal.append("k", {"a": 1}, {"f": b"x"}) == first
    for record, files in (({"a": 2}, {"f": b"x"}), ({"a": 1}, {"f": b"y"}), ({"a": 1}, {})):
        with pytest.raises(GitError, match="already has an entry k"):
            journal.append("k", record, files)
    assert refs.read(repository, REF) == first


def test_the_same_record_gives_the_same_commit(tmp_path: Path) -> None:
    """Date and author are given, so a journal can be rebuilt and compared by its id."""
    made = {
        Journal(opened(make(tmp_path / name)), REF, now=lambda: 5.9).append("k", {"b": 1, "a": 2})
        for name in ("x", "y")
    }
    assert len(made) == 1


@pytest.mark.parametrize("key", ["", "a/b", "..", ".hidden", "a\nb", "x.json", "-"])
def test_a_key_is_a_plain_name(journal: Journal, key: str) -> None:
    """It becomes a file name in a tree, and the subject of a commit."""
    with pytest.raises(ValueError, match="not a key"):
        journal.append(key, {})


@given(
    st.recursive(
        st.none() | st.integers() | st.text() | st.booleans(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_any_record_reads_back_as_it_was(value: object) -> None:
    """A law of the encoding: what json can hold survives, lone surrogates too."""
    import json

    assert json.loads(encode({"v": value})) == {"v": value}


def test_a_journal_leaves_the_rest_of_the_repository_alone(repository: Repository, journal: Journal) -> None:
    """No reflog, no index, no work tree; and the objects are sound."""
    where = repository.common_dir.parent
    git(where, "config", "core.logAllRefUpdates", "always")
    before = picture(where)
    journal.append("k", {"a": 1}, {"f": b"x"})
    notes.add(repository, NOTES, history.tree_of(repository, str(history.resolve(repository, "HEAD"))), "line")
    assert picture(where) == before
    git(where, "fsck", "--strict")


def test_a_note_on_a_tree_is_read_by_git_and_added_only_once(repository: Repository) -> None:
    """Line by line, like `git notes append`, in git's own format."""
    where = repository.common_dir.parent
    tree = git(where, "rev-parse", "HEAD^{tree}")
    for line in ('{"a":1}', '{"ü":"\u2028"}', '{"a":1}'):
        notes.add(repository, NOTES, tree, line, now=lambda: 1.0)
    assert notes.read(repository, NOTES, tree) == ('{"a":1}', '{"ü":"\u2028"}')
    assert git(where, "notes", "--ref", NOTES, "show", tree) == '{"a":1}\n{"ü":"\u2028"}'
    assert notes.read(repository, NOTES, "1" * 40) == ()
    assert notes.read(repository, "refs/notes/none", tree) == ()
    for line in ("", "two\nlines"):
        with pytest.raises(ValueError):
            notes.add(repository, NOTES, tree, line)


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 2))
def test_notes_in_folders_of_two_digits_are_found_and_kept(
    tmp_path_factory: pytest.TempPathFactory, depth: int
) -> None:
    """git cuts the names when there are many notes; ours go where git's are."""
    repository = opened(make(tmp_path_factory.mktemp("fan") / "r"))
    tree = history.tree_of(repository, str(history.resolve(repository, "HEAD")))

    def cut(name: str) -> bytes:
        return "/".join([*(name[at * 2 : at * 2 + 2] for at in range(depth)), name[depth * 2 :]]).encode()

    blob = objects.write_blob(repository, b"old")
    other = "12" * 20
    made = write_tree_with(repository, None, {cut(tree): (objects.FILE, blob), cut(other): (objects.FILE, blob)})
    refs.move(repository, [refs.RefUpdate(NOTES, objects.write_commit(repository, made, [], "Notes", when=1), None)])
    head = str(history.resolve(repository, "HEAD"))
    notes.add(repository, NOTES, tree, "new")
    notes.add(repository, NOTES, head, "third")
    where = repository.common_dir.parent
    shown = {name: git(where, "notes", "--ref", NOTES, "show", name) for name in (tree, head)}
    assert shown == {tree: "old\nnew", head: "third"}
    assert notes.read(repository, NOTES, other) == ("old",)


_WRITER = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from runner.git.notes import add
from runner.git.repo import open_repository
repository = open_repository(Path(sys.argv[1]))
for number in range(10):
    add(repository, sys.argv[2], sys.argv[3], f"{sys.argv[4]}-{number}")
"""


def test_no_line_is_lost_between_four_writers(repository: Repository) -> None:
    """`git notes append` loses two lines out of three here."""
    where = repository.common_dir.parent
    tree = git(where, "rev-parse", "HEAD^{tree}")
    root = str(Path(__file__).parents[3])
    writers = [
        subprocess.Popen([sys.executable, "-c", _WRITER, str(where), NOTES, tree, str(name)], cwd=root)
        for name in range(4)
    ]
    assert [writer.wait() for writer in writers] == [0, 0, 0, 0]
    assert len(notes.read(repository, NOTES, tree)) == 40


def test_no_entry_is_lost_between_a_run_and_its_user(repository: Repository) -> None:
    """The user's word may come at any moment: both write into the same journal, and both are there."""
    journal = Journal(repository, "refs/relay/runs/r1/changes/c1")

    def write(who: str) -> None:
        for number in range(8):
            journal.append(f"{who}.{number}", {"kind": "turn", "who": who})

    with ThreadPoolExecutor() as pool:
        for done in [pool.submit(write, who) for who in ("run", "user", "other")]:
            done.result()
    keys = [entry.key for entry in journal.entries()]
    assert len(keys) == 24
    for who in ("run", "user", "other"):
        assert [key for key in keys if key.startswith(who)] == [f"{who}.{number}" for number in range(8)]
