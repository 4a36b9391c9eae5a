"""Reads what a pipeline names: prompts, scripted replies, tasks."""

from __future__ import annotations

from typing import cast

from pipelines.check import check
from pipelines.files import FileRefused, Files
from pipelines.findings import BAD, Findings, Path
from pipelines.keys import REPLIES
from pipelines.pipeline import ScriptedCall, ScriptedReply, Task
from pipelines.problems import shown
from pipelines.tasks import YamlReader, check_ids, is_file, is_pattern, numbered, task_of_file

MOST_TEXT = 1024 * 1024  # bytes of a prompt or a task
MOST_REPLIES = 16 * 1024 * 1024  # bytes of a file of scripted replies, which may hold whole files
MOST_REPLY_VALUES = 200_000


class Source:
    """Reads the files that the pipeline names, keeps what it read, and says where a name that fails stands."""

    def __init__(self, found: Findings, files: Files, read_yaml: YamlReader) -> None:
        self.found, self.files, self.read_yaml = found, files, read_yaml
        self.read: dict[str, bytes] = {}  # files read, by the names that the pipeline uses
        self.scripts: dict[str, tuple[ScriptedReply, ...]] = {}
        self.named: list[str] = []

    def text(self, name: str, path: Path, most: int) -> str | None:
        """The text of a named file; None when it cannot be had, which is told at `path`."""
        try:
            raw = self.files.read(name, most)
        except FileRefused as refused:
            key = next(part for part in reversed(path) if isinstance(part, str))
            self.found.add(self.found.at[path], f"{shown(name)} in `{key}`: {refused}", refused.hint)
            return None
        self.read[name] = raw
        if b"\0" in raw:
            line = raw.count(b"\n", 0, raw.index(b"\0")) + 1
            self._of_file(name).add((line, 1), "the file holds a NUL, so it is no text", "name a text file")
            return None
        try:
            return raw.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = raw.count(b"\n", 0, error.start) + 1
            self._of_file(name).add((line, 1), "the file is not UTF-8", "save it as UTF-8")
            return None

    def _of_file(self, name: str) -> Findings:
        """Findings about a named file; its problems are told with the pipeline's."""
        return Findings(self.files.shown(name), self.found.problems)

    def prompt(self, name: str, path: Path) -> str | None:
        self.named.append(name)
        text = self.text(name, path, MOST_TEXT)
        if text is not None and not text.strip():
            self.found.add(self.found.at[path], f"the prompt {shown(name)} is empty", "write it, or delete the key")
        return text

    def script(self, model: str, path: Path) -> None:
        """Read the replies of `scripted/FILE`, once."""
        name = model.removeprefix("scripted/")
        if model in self.scripts:
            return
        self.named.append(name)
        self.scripts[model] = ()
        text = self.text(name, path, MOST_REPLIES)
        if text is None:
            return
        found = self._of_file(name)
        root = self.read_yaml(text, found, most_values=MOST_REPLY_VALUES)
        checked = BAD if root is None else check(root, REPLIES, found)
        if checked is not BAD:
            self.scripts[model] = _replies(cast("dict[str, object]", checked), found)

    def tasks(self, entries: list[object], more: tuple[str, ...]) -> tuple[Task, ...]:
        tasks: list[Task] = []
        found = {"": self.found}
        at = {}
        for place, entry in enumerate(entries):
            path: Path = ("tasks", place)
            if not isinstance(entry, str):
                continue
            if not is_file(entry):
                self._warn_of_path(entry, path)
                tasks.append(Task("", entry.strip()))
                continue
            self.named.append(entry)
            names = self.files.match(entry) if is_pattern(entry) else [entry]
            if not names:
                self.found.add(
                    self.found.at[path], f"{shown(entry)} matches no file", "check the path", severity="warning"
                )
            for name in names:
                if name in found:
                    continue
                text = self.text(name, path, MOST_TEXT)
                found[name] = self._of_file(name)
                if text is not None:
                    tasks.append(task_of_file(name, text, found[name], self.read_yaml))
                    at[name] = found[name].at.get(("id",), (1, 1))
        named = numbered([*tasks, *(Task("", text.strip()) for text in more if text.strip())])
        check_ids(named, found, at)
        return named

    def _warn_of_path(self, entry: str, path: Path) -> None:
        if "/" in entry and not any(char.isspace() for char in entry):
            what = f"the task {shown(entry)} looks like a path"
            self.found.add(self.found.at[path], what, "a task file ends in `.md`; a text is a sentence")


def _replies(values: dict[str, object], found: Findings) -> tuple[ScriptedReply, ...]:
    replies: list[ScriptedReply] = []
    seen: set[tuple[object, ...]] = set()
    for place, entry in enumerate(cast("list[object]", values.get("replies", []))):
        if not isinstance(entry, dict) or "role" not in entry or "step" not in entry:
            continue
        reply = ScriptedReply(
            role=entry["role"],
            step=entry["step"],
            task=entry.get("task"),
            change=entry.get("change"),
            round=entry.get("round"),
            text=entry.get("text", ""),
            calls=tuple(
                ScriptedCall(call["tool"], call.get("args", {}))
                for call in entry.get("calls", [])
                if isinstance(call, dict) and "tool" in call
            ),
        )
        key = (reply.role, reply.task, reply.change, reply.round, reply.step)
        if key in seen:
            at = found.at[("replies", place)]
            found.add(at, "a second reply for the same role, task, change, round and step", "delete one")
        seen.add(key)
        replies.append(reply)
    return tuple(replies)
