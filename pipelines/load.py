"""Text to a checked `Pipeline`: the front door of the language, and its strict YAML reader (yaml's only importer)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import yaml

from pipelines.build import build
from pipelines.files import FileRefused, Files, FolderFiles, FrozenFiles
from pipelines.findings import Findings
from pipelines.lint import Facts, lint
from pipelines.nodes import Items, Node, Pairs, Position, Scalar
from pipelines.pipeline import Pipeline
from pipelines.problems import PipelineError, Problem, in_order, printable, shown

MOST_BYTES = 1024 * 1024  # of the pipeline file
MOST_VALUES = 50_000  # of one document, every use of an alias counted anew
MOST_DEPTH = 40
ALIAS_VALUES = 2_000  # what aliases may add: nobody needs more, and a bomb does

# What YAML 1.1 does not call printable (section 5.1), but for what cannot come out of UTF-8. The three are looked for
# one by one: a pattern over all of Unicode takes longer to compile than everything else here.
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f]")
_STRAY = ("\ufeff", "\ufffe", "\uffff")


@dataclass(frozen=True)
class Loaded:
    """A checked pipeline with all that it was made from, so that a run can be frozen and thawed."""

    pipeline: Pipeline
    text: str
    files: Mapping[str, bytes]  # every file that the pipeline names, by the name it uses
    warnings: tuple[Problem, ...]
    positions: Mapping[tuple[str | int, ...], Position]  # of each value: keys and list places from 0


def load(path: Path | str, *, facts: Facts | None = None, tasks: tuple[str, ...] = ()) -> Loaded:
    """The checked pipeline of the file at `path`; `tasks` are texts that join those of the file.

    With `facts` about the outside (environment, branches, prices) these are checked too. Raises `PipelineError` with
    every problem at once: of the file itself, and of the prompts, replies and tasks that it names.
    """
    path = Path(path)
    name = str(path)
    try:
        raw = FolderFiles(path.parent).read(path.name, MOST_BYTES)
    except FileRefused as refused:
        raise PipelineError([Problem(name, 1, 1, str(refused), refused.hint)]) from None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise PipelineError([_not_utf8(name, raw, error)]) from None
    return _load(name, text, FolderFiles(path.parent), facts, tasks)


def thaw(name: str, text: str, files: Mapping[str, bytes], *, tasks: tuple[str, ...] = ()) -> Pipeline:
    """The pipeline that `load` made, from what `Loaded` kept; reads nothing else. Raises `PipelineError`."""
    return _load(name, text, FrozenFiles(files), None, tasks).pipeline


def _load(name: str, text: str, files: Files, facts: Facts | None, tasks: tuple[str, ...]) -> Loaded:
    draft = build(name, text, files, read_yaml, tasks)
    problems = (*draft.found.problems, *lint(draft, facts))
    errors = [problem for problem in problems if problem.severity == "error"]
    if errors or draft.pipeline is None:
        raise PipelineError(in_order(errors, first=name))
    return Loaded(draft.pipeline, text, draft.read, in_order(problems, first=name), draft.found.at)


def _not_utf8(file: str, raw: bytes, error: UnicodeDecodeError) -> Problem:
    before = raw[: error.start]
    line_start = before.rfind(b"\n") + 1
    column = len(before[line_start:].decode("utf-8", "replace")) + 1
    return Problem(file, before.count(b"\n") + 1, column, "the file is not UTF-8", "save it as UTF-8")


def read_yaml(text: str, found: Findings, *, first_line: int = 1, most_values: int = MOST_VALUES) -> Node | None:
    """The one document of `text`, strictly; its first line is line `first_line` of the file. None: unreadable.

    Problems go to `found`: what is no YAML, and what this language does not take of YAML (tags, merge keys, several
    documents, keys that are no text or stand twice, aliases that grow).
    """
    bad = _forbidden(text)
    if bad is not None:
        line = text.count("\n", 0, bad)
        column = bad - (text.rfind("\n", 0, bad) + 1)
        what = f"the character {shown(text[bad])} cannot stand in the file"
        found.add((line + first_line, column + 1), what, "delete it, or write it as an escape in double quotes")
        return None
    reader = _Reader(found, first_line, most_values)
    try:
        return reader.document(_events(text))
    except _Unreadable:
        return None
    except yaml.MarkedYAMLError as error:
        _syntax(text, found, first_line, error)
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        found.add((first_line, 1), f"no YAML: {printable(str(error))}", "check the file")
    return None


def _forbidden(text: str) -> int | None:
    control = _CONTROL.search(text)
    places = [control.start()] if control else []
    places += [place for stray in _STRAY if (place := text.find(stray)) >= 0]
    return min(places, default=None)


class _Unreadable(Exception):
    """The rest of the document makes no sense; the problem is told already."""


def _events(text: str) -> Iterator[yaml.Event]:
    # libyaml's parser where it is there: the same events, 20 times faster.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return yaml.parse(text, Loader=loader)


_MEANT = (
    ("mapping values are not allowed", "a second `: ` in a value", "put the value in quotes"),
    ("could not find expected ':'", "a key without `: `", "write `key: value`"),
    ("cannot start any token", "a character that no value can begin with", "put the value in quotes"),
    ("expected <block end>", "the indentation does not fit the lines above", "align it with its siblings"),
    ("did not find expected '-' indicator", "the indentation does not fit the lines above", "align the list's `-`"),
    ("did not find expected key", "the indentation or a bracket does not fit the lines above", "align it, close it"),
    ("did not find expected ',' or", "a `[` or `{` that is not closed", "close it, and part its items by commas"),
    ("expected ',' or", "a `[` or `{` that is not closed", "close it, and part its items by commas"),
    ("end of stream", "a quote that is not closed", "close it on the same line"),
    ("quoted scalar", "a quote that is not closed", "close it on the same line"),
    ("escape", "an escape that YAML does not know", "use single quotes, or write `\\\\` for a backslash"),
    ("block sequence entries are not allowed", "a `- ` where no list can begin", "begin the list on the next line"),
    ("block collections are not allowed", "a value that must begin on the next line", "begin it on the next line"),
)


def _syntax(text: str, found: Findings, first_line: int, error: yaml.MarkedYAMLError) -> None:
    problem = error.problem or error.context or "unreadable"
    mark = error.problem_mark or error.context_mark
    if "end of stream" in problem:  # the end says nothing: what matters is where it began
        mark = error.context_mark or mark
    line, column = (mark.line, mark.column) if mark else (0, 0)
    lines = text.splitlines()
    here = lines[line] if line < len(lines) else ""
    if "\t" in here[: len(here) - len(here.lstrip())]:
        found.add((line + first_line, here.index("\t") + 1), "a tab in the indentation", "indent with spaces")
        return
    told = [(what, hint) for words, what, hint in _MEANT if words in problem]
    what, hint = told[0] if told else (printable(problem), "look at this line and the one above")
    found.add((line + first_line, column + 1), f"no YAML: {what}", hint)


class _Reader:
    """Makes nodes of the parser's events; holds the anchors and counts what they add."""

    def __init__(self, found: Findings, first_line: int, most_values: int) -> None:
        self.found, self.first_line = found, first_line
        self.left, self.alias_left = most_values, ALIAS_VALUES
        self.anchors: dict[str, tuple[Node, int]] = {}

    def document(self, events: Iterator[yaml.Event]) -> Node:
        next(events)  # the stream's start
        start = next(events)
        if isinstance(start, yaml.StreamEndEvent):
            self.refuse(start, "the file is empty", "see `relay init` for a file to begin with")
        if isinstance(start, yaml.DocumentStartEvent) and (start.version or start.tags):
            self.tell(start, "a `%` directive", "delete it")
        node = self.value(next(events), events, 0)
        next(events)  # the document's end
        more = next(events)
        if not isinstance(more, yaml.StreamEndEvent):
            self.tell(more, "a second document", "keep one document in the file")
        return node

    def value(self, event: yaml.Event, events: Iterator[yaml.Event], depth: int) -> Node:
        self.left -= 1
        if self.left < 0:
            self.refuse(event, "too many values", "make the file smaller")
        if depth > MOST_DEPTH:
            self.refuse(event, f"nested more than {MOST_DEPTH} deep", "make it flat")
        if isinstance(event, yaml.AliasEvent):
            return self.alias(event)
        tag = getattr(event, "tag", None)
        if tag is not None:
            self.tell(
                event,
                f"the tag {shown(str(tag).replace('tag:yaml.org,2002:', '!!'))}",
                "delete it; put quotes around a text",
            )
        before = self.left
        match event:
            case yaml.ScalarEvent():
                node: Node = self.scalar(event)
            case yaml.SequenceStartEvent():
                node = self.items(event, events, depth)
            case _:
                node = self.pairs(event, events, depth)
        anchor = getattr(event, "anchor", None)
        if anchor is not None:
            self.anchors[anchor] = (node, before - self.left + 1)
        return node

    def alias(self, event: yaml.AliasEvent) -> Node:
        name = event.anchor or ""
        if name not in self.anchors:
            hint = f"name it above with `&{printable(name)}`"
            self.refuse(event, f"the alias {shown('*' + name)} has no anchor that is complete", hint)
        node, size = self.anchors[name]
        self.alias_left -= size
        self.left -= size
        if self.alias_left < 0:
            self.refuse(event, f"aliases that stand for more than {ALIAS_VALUES} values", "write the values out")
        return node

    def scalar(self, event: yaml.ScalarEvent) -> Scalar:
        if any("\ud800" <= char <= "\udfff" for char in event.value):
            self.tell(event, "half of a surrogate pair", "write the character itself")
        return Scalar(event.value, event.style is None or event.style == "", self.at(event))

    def items(self, event: yaml.Event, events: Iterator[yaml.Event], depth: int) -> Items:
        items = []
        while not isinstance(item := next(events), yaml.SequenceEndEvent):
            items.append(self.value(item, events, depth + 1))
        return Items(tuple(items), self.at(event))

    def pairs(self, event: yaml.Event, events: Iterator[yaml.Event], depth: int) -> Pairs:
        pairs: list[tuple[Scalar, Node]] = []
        lines: dict[str, int] = {}
        while not isinstance(start := next(events), yaml.MappingEndEvent):
            key = self.value(start, events, depth + 1)
            if not isinstance(key, Scalar):
                self.refuse(start, "a key that is a list or a mapping", "keys are text")
            if key.plain and key.text == "<<":
                self.tell(start, "the merge key `<<`", "write the keys out")
            elif key.text in lines:
                what = f"the key {shown(key.text)} stands twice (first on line {lines[key.text]})"
                self.tell(start, what, "delete one")
            value = self.value(next(events), events, depth + 1)
            if key.text not in lines and not (key.plain and key.text == "<<"):
                pairs.append((key, value))
            lines.setdefault(key.text, self.at(start)[0])
        return Pairs(tuple(pairs), self.at(event))

    def at(self, event: yaml.Event) -> Position:
        mark = event.start_mark
        return (mark.line + self.first_line, mark.column + 1) if mark else (self.first_line, 1)

    def tell(self, event: yaml.Event, what: str, hint: str) -> None:
        self.found.add(self.at(event), what, hint)

    def refuse(self, event: yaml.Event, what: str, hint: str) -> NoReturn:
        self.tell(event, what, hint)
        raise _Unreadable
