"""Tasks: texts, files, front matter, ids."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.load import Loaded, load, thaw
from pipelines.problems import PipelineError
from pipelines.tasks import slug

Load = Callable[[str], Loaded]
Complain = Callable[[str], list[str]]


def _write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


def test_task_files_are_sorted_and_named(tmp_path: Path, small: str, load_text: Load) -> None:
    """Spaces and other alphabets are no trouble; an id is the front matter's, else made of the name, else a number."""
    names = ["tasks/b c.md", "tasks/Größe 2.md", "tasks/日本.md", "tasks/a.md", "tasks/.hidden.md", "tasks/no.txt"]
    _write(tmp_path, dict.fromkeys(names, "Do it.\n") | {"tasks/x.md": "---\nid: own\n---\nDo it.\n"})
    tasks = load_text(small + "tasks: [tasks/*.md, First words., Second words.]\n").pipeline.tasks
    assert [task.id for task in tasks] == ["grosse-2", "a", "b-c", "own", "t1", "t2", "t3"]
    assert [task.explicit_id for task in tasks] == [False, False, False, True, False, False, False]
    assert tasks[2].source == "tasks/b c.md"
    assert tasks[5].source is None and tasks[5].text == "First words."


def test_patterns_may_go_through_folders(tmp_path: Path, small: str, load_text: Load) -> None:
    """`**` means any depth, hidden folders excepted."""
    _write(tmp_path, {"t/a.md": "A", "t/u/b.md": "B", "t/u/v/c.md": "C", "t/.git/d.md": "D", "e.md": "E"})
    loaded = load_text(small + "tasks: ['t/**/*.md', e.md]\n")
    assert [task.source for task in loaded.pipeline.tasks] == ["t/a.md", "t/u/b.md", "t/u/v/c.md", "e.md"]
    assert thaw(loaded.pipeline.name, loaded.text, loaded.files) == loaded.pipeline


def test_a_file_above_the_pipeline_may_be_named(tmp_path: Path, small: str) -> None:
    """The user's own file is trusted to name what it wants."""
    _write(tmp_path, {"todo/a.md": "A", "relay/p.yaml": small + "tasks: [../todo/*.md]\n"})
    loaded = load(tmp_path / "relay/p.yaml")
    assert [task.source for task in loaded.pipeline.tasks] == ["../todo/a.md"]
    assert thaw(loaded.pipeline.name, loaded.text, loaded.files) == loaded.pipeline


def test_texts_of_the_command_line_join_those_of_the_file(tmp_path: Path, small: str) -> None:
    """They are numbered on, and frozen with the run."""
    (tmp_path / "p.yaml").write_text(small + "tasks: [One.]\n")
    loaded = load(tmp_path / "p.yaml", tasks=("Two.", " "))
    assert [(task.id, task.text) for task in loaded.pipeline.tasks] == [("t1", "One."), ("t2", "Two.")]
    assert thaw(loaded.pipeline.name, loaded.text, {}, tasks=("Two.",)) == loaded.pipeline


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"t/a.md": "---\nid: b\n---\nA", "t/b.md": "B"}, "t/b.md:1:1: a second task with the id `b`"),
        ({"t/a.md": "---\nneeds: [c]\n---\nA"}, "t/a.md:2:9: it needs `c`, and there is no such task"),
        ({"t/a.md": "---\nneeds: b\n---\nA", "t/b.md": "---\nneeds: a\n---\nB"}, "it needs `b`, which needs it"),
        ({"t/a.md": "---\nid: a\nA"}, "t/a.md:1:1: front matter that is not closed"),
        ({"t/a.md": "---\nid: a\n---\n\n"}, "t/a.md:1:1: the task has no text"),
        ({"t/a.md": "---\nid: A\n---\nA"}, "t/a.md:2:5: `id` must be an id"),
        ({"t/a.md": "---\n\nprio: 1\n---\nA"}, "t/a.md:3:1: unknown key `prio`"),
        ({"t/a.md": "---\nmay-change: ['!x']\n---\nA"}, "t/a.md:2:14: `may-change` must be"),
        ({"t/landed.md": "A"}, "would be `landed`"),
    ],
)
def test_mistakes_of_task_files_are_told_with_their_place(
    tmp_path: Path, small: str, complaints: Complain, files: dict[str, str], words: str
) -> None:
    """In the task's own file, counted from its first line."""
    _write(tmp_path, files)
    lines = complaints(small + "tasks: [t/*.md]\n")
    assert lines and any(words in line for line in lines), lines


def test_a_file_that_is_no_utf8_is_told_by_its_own_name(tmp_path: Path, small: str) -> None:
    """Not by the pipeline's."""
    (tmp_path / "a.md").write_bytes(b"x\n\xff")
    (tmp_path / "p.yaml").write_text(small + "tasks: [a.md]\n")
    with pytest.raises(PipelineError, match=r"a\.md:2:1: the file is not UTF-8"):
        load(tmp_path / "p.yaml")


def test_a_pattern_without_a_match_is_a_warning(small: str, load_text: Load) -> None:
    """An empty folder of tasks is nothing to do, not a mistake."""
    (warning,) = load_text(small + "tasks: [tasks/*.md]\n").warnings
    assert "matches no file" in str(warning)


@pytest.mark.parametrize(("name", "expected"), [("01 Fix: it!.md", "01-fix-it"), ("a/--x--.md", "x"), ("日.md", "")])
def test_slugs_are_plain(name: str, expected: str) -> None:
    """Lower case letters, digits, single dashes."""
    assert slug(name) == expected
