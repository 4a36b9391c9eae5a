"""What a test runner reported, read from JUnit XML that nobody trusts. The only door of junitparser.

A report is a claim of the process under test: it is bounded, has no DTD, and a doubtful one is unreadable, not empty.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from xml.parsers import expat

from junitparser import Attr, Error, Failure, JUnitXml, JUnitXmlError, Skipped, TestCase, TestSuite

Outcome = Literal["passed", "failed", "error", "skipped", "xfailed"]

MAX_BYTES = 32 * 1024**2
MAX_ELEMENTS = 1_000_000
MAX_DEPTH = 32
MAX_MESSAGE = 2000  # characters kept of what a test said

# The worst outcome wins where a test is reported more than once.
_RANK: Mapping[Outcome, int] = {"passed": 0, "xfailed": 1, "skipped": 2, "failed": 3, "error": 4}

# What some runners say in `status` instead of in a child element (googletest).
_WORDS: Mapping[str, Outcome] = {
    **dict.fromkeys(("failed", "failure", "fail"), "failed"),
    **dict.fromkeys(("error", "errored"), "error"),
    **dict.fromkeys(
        ("notrun", "disabled", "skipped", "suppressed", "ignored", "pending", "todo", "inconclusive"), "skipped"
    ),
}


@dataclass(frozen=True)
class Report:
    """What was reported, by id. An id is pytest's nodeid where it can be had, else `classname::name`.

    `files` holds the path in the tree (as `path_text` of protect.py writes it) of the ids whose file is known.
    `messages` says why a test did not pass. `collection_errors` are modules that could not be collected, by path.
    """

    tests: Mapping[str, Outcome] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    messages: Mapping[str, str] = field(default_factory=dict)
    collection_errors: Mapping[str, str] = field(default_factory=dict)
    collection_skipped: tuple[str, ...] = ()
    pytest: bool = False


class Unreadable(ValueError):
    """The bytes are no JUnit XML that can be believed; the text says why."""


def read_junit(documents: Sequence[bytes], tree: Collection[str] = ()) -> Report:
    """The one report that all `documents` together are. `tree` is the paths of the tested tree.

    Raises Unreadable for anything else than UTF-8 JUnit XML (https://github.com/testmoapp/junitxml) within the
    bounds above. How pytest's nodeid is made from `file`, `classname` and `name` stands in docs/gate.md.
    """
    cases = [case for document in documents for case in _cases(document)]
    reading = _Reading(_Paths.of(cases, tree))
    for case in cases:
        reading.add(case)
    return reading.report()


class _Case(TestCase):
    file = Attr()
    status = Attr()


class _Suite(TestSuite):
    testcase = _Case
    file = Attr()


class _Root(JUnitXml):
    testsuite = _Suite


@dataclass(frozen=True)
class _Found:
    """A test case with what its suites say about it."""

    classname: str
    name: str
    file: str | None
    suite: str
    outcome: Outcome
    message: str
    pytest: bool

    @property
    def is_collector(self) -> bool:
        """Pytest reports a module that it could not, or did not, collect like a test."""
        return self.pytest and (
            (self.outcome == "error" and self.message.startswith(("collection failure", "internal error")))
            or (self.outcome == "skipped" and self.message.startswith("collection skipped"))
        )


def _cases(document: bytes) -> list[_Found]:
    text = _checked(document)
    try:
        root = _Root.fromstring(text)
    except (JUnitXmlError, ElementTree.ParseError, ValueError) as error:
        raise Unreadable(f"the report is no JUnit XML: {error}") from error
    return [found for suite in root for found in _suite_cases(suite, None)]


def _checked(document: bytes) -> str:
    """The text, after a first pass that refuses what would make a reader work without end."""
    if len(document) > MAX_BYTES:
        raise Unreadable(f"the report has {len(document)} bytes; at most {MAX_BYTES} are read")
    depth = count = 0

    def start(_name: str, _attributes: object) -> None:
        nonlocal depth, count
        depth, count = depth + 1, count + 1
        if depth > MAX_DEPTH:
            raise Unreadable(f"the report is nested deeper than {MAX_DEPTH} elements")
        if count > MAX_ELEMENTS:
            raise Unreadable(f"the report has more than {MAX_ELEMENTS} elements")

    def end(_name: str) -> None:
        nonlocal depth
        depth -= 1

    def doctype(*_: object) -> None:
        raise Unreadable("the report has a DTD, which no test runner writes")

    # Fixed, since a declared encoding would choose a decoder.
    parser = expat.ParserCreate("utf-8")
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.StartDoctypeDeclHandler = doctype
    try:
        text = document.decode("utf-8-sig")
        parser.Parse(text.encode(), True)
    except expat.ExpatError as error:
        raise Unreadable(f"the report is no XML: {error}") from error
    except UnicodeDecodeError as error:
        raise Unreadable(f"the report is not UTF-8: {error.reason} at byte {error.start}") from error
    return text


def _suite_cases(suite: Any, file: str | None) -> Iterator[_Found]:
    file = suite.file or file
    for case in suite.iterchildren(_Case):
        outcome, message = _outcome(case)
        yield _Found(
            classname=case.classname or "",
            name=case.name or "",
            file=case.file or file,
            suite=suite.name or "",
            outcome=outcome,
            message=message,
            pytest=suite.name == "pytest",
        )
    for inner in suite.testsuites():
        yield from _suite_cases(inner, file)


def _outcome(case: Any) -> tuple[Outcome, str]:
    """The worst of what the case's children say, and that child's words."""
    worst: Outcome = "passed"
    message = ""
    for child in case:
        outcome = _child_outcome(child)
        if outcome is not None and _RANK[outcome] >= _RANK[worst]:
            worst, message = outcome, _message(child.message, child.text)
    if worst == "passed":
        worst = _WORDS.get((case.status or "").lower(), "passed")
    return worst, message


def _child_outcome(child: object) -> Outcome | None:
    if isinstance(child, Error):
        return "error"
    if isinstance(child, Failure):
        return "failed"
    if isinstance(child, Skipped):
        return "xfailed" if child.type == "pytest.xfail" else "skipped"
    return None


def _message(attribute: str | None, text: str | None) -> str:
    parts = dict.fromkeys(part.strip() for part in (attribute, text) if part and part.strip())
    whole = "\n".join(parts)
    if len(whole) <= MAX_MESSAGE:
        return whole
    half = MAX_MESSAGE // 2
    return f"{whole[:half]}\n[{len(whole) - 2 * half} characters left out]\n{whole[-half:]}"


def _dotted(path: str) -> str:
    """How pytest writes a path as a class name (`mangle_test_address`)."""
    return re.sub(r"\.py$", "", path.replace("/", "."))


@dataclass(frozen=True)
class _Paths:
    """Where reported paths lie in the tree: `root` is the runner's own directory there, empty or ending in `/`."""

    tree: frozenset[str]
    root: str
    dotted: Mapping[str, str]  # of Python files below root, as reported
    longest: int  # characters of a name in `dotted`

    @staticmethod
    def of(cases: Sequence[_Found], tree: Collection[str]) -> _Paths:
        reported = {path for case in cases if (path := _relative(case.file)) and _below(case.classname, path)}
        known = frozenset(tree)
        root = _root(reported, known)
        python = (path.removeprefix(root) for path in known if path.startswith(root) and path.endswith(".py"))
        dotted = {_dotted(path): path for path in sorted(python)}
        return _Paths(known, root, dotted, max(map(len, dotted), default=0))

    def locate(self, reported: str | None) -> str | None:
        """The path in the tree; as reported where the tree is not known; None where it is no path of the tree."""
        path = _relative(reported)
        if path is None or not self.tree:
            return path
        return next((found for found in (self.root + path, path) if found in self.tree), None)

    def module(self, case: _Found) -> str | None:
        """The path of a Python test's module as the runner would write it in a nodeid."""
        path = _relative(case.file)
        if path and _below(case.classname, path):
            return path
        # `file` is where the function is defined: for an inherited or wrapped test that is another file.
        name = case.classname
        if len(name) > self.longest:  # no more of it can be a path, however many dots an attacker writes
            name = name[: self.longest + 1].rpartition(".")[0]
        while name and name not in self.dotted:
            name = name.rpartition(".")[0]
        return self.dotted.get(name)


def _root(reported: set[str], tree: frozenset[str]) -> str:
    """Where a runner that was started in a folder of the tree stands: the one folder that holds all it reported."""
    if not reported or not tree or any(path in tree for path in reported):
        return ""
    first = min(reported)
    roots = [path.removesuffix(first) for path in tree if path.endswith("/" + first)]
    fitting = [root for root in roots if all(root + path in tree for path in reported)]
    return fitting[0] if len(fitting) == 1 else ""


def _relative(path: str | None) -> str | None:
    """A path below the work directory, or None."""
    if not path:
        return None
    path = path.replace("\\", "/").removeprefix("/work/").removeprefix("./")
    return None if path.startswith("/") or ".." in path.split("/") else path


def _below(classname: str, path: str) -> bool:
    dotted = _dotted(path)
    return bool(dotted) and (classname == dotted or classname.startswith(dotted + "."))


class _Reading:
    """Gathers the cases of one report."""

    def __init__(self, paths: _Paths) -> None:
        self._paths = paths
        self._tests: dict[str, Outcome] = {}
        self._files: dict[str, str] = {}
        self._messages: dict[str, str] = {}
        self._errors: dict[str, str] = {}
        self._skipped: dict[str, None] = {}
        self._seen: dict[str, int] = {}
        self._pytest = False

    def add(self, case: _Found) -> None:
        self._pytest = self._pytest or case.pytest
        if case.is_collector:
            name = self._paths.locate(case.file) or case.file or ".".join(filter(None, (case.classname, case.name)))
            if case.outcome == "error":
                self._errors[name] = case.message
            else:
                self._skipped[name] = None
            return
        test, file = self._id(case)
        if self._tests.get(test) is None or _RANK[case.outcome] > _RANK[self._tests[test]]:
            self._tests[test] = case.outcome
            if case.outcome != "passed":
                self._messages[test] = case.message
        if file is not None:
            self._files[test] = file

    def _id(self, case: _Found) -> tuple[str, str | None]:
        module = self._paths.module(case) if case.pytest or (case.file or "").endswith(".py") else None
        if module is not None:
            classes = case.classname.removeprefix(_dotted(module)).lstrip(".").replace(".", "::")
            # One id twice is one test twice: pytest reports a failure and the error of its teardown apart.
            return "::".join(filter(None, (module, classes, case.name))), self._paths.locate(module)
        plain = f"{case.classname}::{case.name}"
        # vitest puts the file into the class name, jest-junit may.
        file = self._paths.locate(case.file) or (case.classname if case.classname in self._paths.tree else None)
        if case.pytest:
            return plain, file
        count = self._seen[plain] = self._seen.get(plain, 0) + 1
        return (plain if count == 1 else f"{plain}#{count}"), file

    def report(self) -> Report:
        return Report(
            self._tests, self._files, self._messages, self._errors, tuple(sorted(self._skipped)), self._pytest
        )
