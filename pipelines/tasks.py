"""Task files and texts to `Task` values: front matter, ids, and what they need."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Protocol, cast

from pipelines.check import check
from pipelines.files import WILD
from pipelines.findings import BAD, Findings, nearest
from pipelines.keys import TASK_MATTER
from pipelines.nodes import Node, Position
from pipelines.pipeline import Task
from pipelines.problems import shown

FENCE = re.compile(r"---[ \t]*\r?\n")


class YamlReader(Protocol):
    """The strict YAML reader of `load.py`."""

    def __call__(
        self, text: str, found: Findings, *, first_line: int = 1, most_values: int = 50_000
    ) -> Node | None: ...


def is_file(entry: str) -> bool:
    """Whether an entry of `tasks` is the path of a file: one line that ends in `.md`. A text must not end so."""
    return "\n" not in entry and entry.endswith(".md")


def is_pattern(entry: str) -> bool:
    """Whether the path may mean several files."""
    return bool(WILD & set(entry))


def slug(name: str) -> str:
    """A file's name as a task id: `Add Größe.md` -> `add-grosse`. Empty when no letter or digit is left."""
    stem = PurePosixPath(name).name.removesuffix(".md")
    ascii_only = unicodedata.normalize("NFKD", stem.casefold()).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", ascii_only).strip("-")[:60].rstrip("-")


def task_of_file(name: str, text: str, found: Findings, read_yaml: YamlReader) -> Task:
    """The task of a file; its id is empty when neither the front matter nor the name gives one."""
    text = text.replace("\r\n", "\n")
    matter: dict[str, object] = {}
    fence = FENCE.match(text)
    if fence:
        end = re.search(r"^---[ \t]*$", text[fence.end() :], re.MULTILINE)
        if end is None:
            found.add((1, 1), "front matter that is not closed", "close it with a line `---`")
            return Task(slug(name), text, name)
        inside = text[fence.end() : fence.end() + end.start()]
        text = text[fence.end() + end.end() :]
        if inside.strip():
            root = read_yaml(inside, found, first_line=2, most_values=1000)
            checked = BAD if root is None else check(root, TASK_MATTER, found)
            matter = cast("dict[str, object]", checked) if checked is not BAD else {}
    if not text.strip():
        found.add((1, 1), "the task has no text", "say what to do, below the front matter")
    identity = cast("str", matter.get("id", ""))
    return Task(
        id=identity or slug(name),
        text=text.strip(),
        source=name,
        needs=tuple(cast("list[str]", matter.get("needs", []))),
        priority=cast("int", matter.get("priority", 0)),
        may_change=tuple(cast("list[str]", matter.get("may-change", []))),
        explicit_id=bool(identity),
    )


def numbered(tasks: Sequence[Task]) -> tuple[Task, ...]:
    """The tasks, those without an id named `t1`, `t2`... in order; ids that are taken are passed over."""
    taken = {task.id for task in tasks}
    free = (f"t{n}" for n in range(1, 2 * len(tasks) + 1) if f"t{n}" not in taken)
    return tuple(task if task.id else task._replace(id=next(free)) for task in tasks)


def check_ids(tasks: Sequence[Task], found: dict[str, Findings], at: dict[str, Position]) -> None:
    """Ids are unique, `landed` is free, and what a task needs exists and does not need it back."""
    by_id: dict[str, Task] = {}
    for task in tasks:
        source = task.source or ""
        own = found[source]
        where = own.at.get(("id",), at.get(source, (1, 1)))
        if task.id == "landed":
            own.add(where, "the task's id would be `landed`, which is relay's", "give it another `id:`")
        elif task.id in by_id:
            other = by_id[task.id].source or "a text"
            own.add(where, f"a second task with the id `{task.id}` ({shown(other)})", "give one of them an `id:`")
        by_id.setdefault(task.id, task)
    for task in tasks:
        for place, need in enumerate(task.needs):
            own = found[task.source or ""]
            where = own.at.get(("needs", place), (1, 1))
            if need not in by_id:
                meant = nearest(need, list(by_id))
                hint = f"did you mean `{meant}`?" if meant else "tasks: " + ", ".join(by_id)
                own.add(where, f"it needs {shown(need)}, and there is no such task", hint)
            elif _reaches(need, task.id, by_id):
                own.add(where, f"it needs `{need}`, which needs it", "delete one of the two")


def _reaches(start: str, goal: str, by_id: dict[str, Task]) -> bool:
    seen: set[str] = set()
    todo = [start]
    while todo:
        here = todo.pop()
        if here == goal:
            return True
        if here in by_id and here not in seen:
            seen.add(here)
            todo += by_id[here].needs
    return False
