"""Which paths the author may not decide about: protected files, setup inputs, host paths, and what a grant lifts.

Pure: listings of trees come in, what to change in them goes out. Paths are bytes, as git has them.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from pathspec import GitIgnoreSpec

from runner.gate.ecosystems import (
    BUILD_FILES,
    CONFIGURATION,
    DATA,
    HOST,
    RUNNER_LIBRARIES,
    SETUP_INPUTS,
    SIGNS,
    SOURCES,
    TEST_DATA,
    TEST_MODULES,
    Ecosystem,
)

Entry = TypeVar("Entry")

MAX_PATTERN = 500
MAX_STARS = 3  # in a model's pattern: each one more multiplies the time that a hostile path takes by its length

# What some file systems do not see in a name (HFS+), so that two names are one there.
_UNSEEN = re.compile("[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]")


@dataclass(frozen=True)
class Protection:
    """What is protected in one gate: `patterns` (gitignore syntax, shown to the user), and `shadows`.

    `shadows` are names of the standard library and of the runner's own libraries that no module at the root of L (or of
    its `src`) has: a new one there would be imported in the library's place, since runners put these folders first.
    """

    patterns: tuple[str, ...]
    shadows: tuple[str, ...] = ()


def path_text(path: bytes) -> str:
    """A path as text, one to one: itself where it is UTF-8, else quoted as git quotes (`"a\\377"`)."""
    try:
        text = path.decode()
    except UnicodeDecodeError:
        text = '"'
    if not text.startswith('"'):
        return text
    quoted = "".join(chr(b) if 32 <= b < 127 and b not in b'"\\' else f"\\{b:03o}" for b in path)
    return f'"{quoted}"'


def path_bytes(text: str) -> bytes:
    """The path that `path_text` wrote."""
    if not (text.startswith('"') and text.endswith('"') and len(text) > 1):
        return text.encode("utf-8", "surrogateescape")
    return re.sub(rb"\\([0-7]{3})", lambda found: bytes([int(found[1], 8)]), text[1:-1].encode())


def matching(patterns: Sequence[str], paths: Iterable[bytes]) -> frozenset[bytes]:
    """The paths that gitignore-style `patterns` select (later `!` patterns deselect)."""
    return frozenset(_selected(patterns, tuple(paths)))


def selecting(patterns: Sequence[str], paths: Collection[bytes]) -> tuple[str, ...]:
    """Those of `patterns` that, each alone, select a path."""
    every = tuple(paths)
    near = _near(patterns, every).patterns
    return tuple(pattern for pattern in near if any(_selected([pattern], every)))


def _selected(patterns: Sequence[str], paths: Sequence[bytes]) -> Iterator[bytes]:
    near = _near(patterns, paths)
    if near.patterns:
        spec = GitIgnoreSpec.from_lines(near.patterns, backend="simple")
        yield from (path for path in near.paths if spec.match_file(_plain(path)))


@dataclass(frozen=True)
class _Near:
    """Patterns that may select one of some paths, and the paths that they may select. All others cannot."""

    patterns: tuple[str, ...]
    paths: Collection[bytes]


def _near(patterns: Sequence[str], paths: Sequence[bytes]) -> _Near:
    """Most patterns hold a word without which they match nothing, and a word is looked for a hundred times faster."""
    GitIgnoreSpec.from_lines(patterns, backend="simple")  # raises for what is no pattern, whatever the paths
    every = b"\0".join(paths)
    words = {pattern: word for pattern in patterns if (word := _word_of(pattern)) in every}
    near = tuple(pattern for pattern in patterns if pattern in words)
    if b"" in words.values():
        return _Near(near, paths)
    return _Near(near, {path for word in set(words.values()) for path in paths if word in path})


def _word_of(pattern: str) -> bytes:
    """The longest word that every path selected by `pattern` holds; empty where that is not sure."""
    sure = re.split(r"[\\[]", pattern, maxsplit=1)[0]
    return max(re.findall(r"[A-Za-z0-9_.-]+", sure), key=len, default="").encode()


def ecosystems(paths: Collection[bytes]) -> tuple[Ecosystem, ...]:
    """What a tree is written in; all that are known where nothing says it, so that a young project is not open."""
    every = tuple(paths)
    found = tuple(name for name, signs in SIGNS.items() if any(_selected(signs, every)))
    return found or tuple(SIGNS)


def setup_inputs(paths: Collection[bytes], *, setup: str | None, given: Sequence[str] | None) -> tuple[str, ...]:
    """The patterns of what the setup is made from: as the pipeline says, else the usual manifests and lock files.

    Files of L (`paths`) that the setup's text names belong to them. Nothing where there is no setup.
    """
    if not setup and not given:
        return ()
    patterns = SETUP_INPUTS if given is None else tuple(f"/{path.removeprefix('./').lstrip('/')}" for path in given)
    return tuple(dict.fromkeys((*patterns, *(exactly(path) for path in sorted(_named_in(setup or "", paths))))))


def protection(
    paths: Collection[bytes],
    *,
    run: str,
    patterns: Sequence[str] | None,
    inputs: Sequence[str] = (),
    tests: Collection[bytes] = (),
) -> Protection:
    """What a gate protects, from L's listing (`paths`) and what L's own run showed to be its `tests` alone.

    `patterns` are the pipeline's `protected-files`; None takes the shipped defaults. The setup `inputs` (patterns of
    `setup_inputs`), and files of L that the command `run` names, are protected always.
    """
    always = (*inputs, *(exactly(path) for path in sorted(_named_in(run, paths))))
    if patterns is not None:
        return Protection(tuple(dict.fromkeys((*patterns, *always))))
    kinds = ecosystems(paths)
    shipped: list[str] = [*TEST_DATA, *BUILD_FILES]
    for kind in kinds:
        shipped += [*TEST_MODULES[kind], *DATA[kind], *CONFIGURATION[kind]]
    shipped += [f"{exactly(folder)}/" for folder in _test_folders(paths, kinds)]
    shipped += [exactly(path) for path in sorted(set(tests) - matching(shipped, tests))]
    return Protection(tuple(dict.fromkeys((*shipped, *always))), _shadows(paths) if "python" in kinds else ())


def protected_changes(
    l_tree: Mapping[bytes, object], c_tree: Mapping[bytes, object], protected: Protection
) -> tuple[bytes, ...]:
    """The protected paths that differ in any way between L and C: content, mode, kind, or absence."""
    changed = changed_paths(l_tree, c_tree)
    shadows = set(protected.shadows)
    new = (path for path in changed if path not in l_tree)
    shadowing = {path for path in new if shadows and _root_module(path) in shadows}
    return tuple(sorted(matching(protected.patterns, changed) | shadowing))


def changed_paths(l_tree: Mapping[bytes, object], c_tree: Mapping[bytes, object]) -> tuple[bytes, ...]:
    """Every path whose entry differs between two listings, sorted."""
    gone = [path for path in l_tree if path not in c_tree]
    return tuple(sorted([*gone, *(path for path, entry in c_tree.items() if l_tree.get(path) != entry)]))


def k_changes(
    l_tree: Mapping[bytes, Entry], c_tree: Mapping[bytes, Entry], refused: Iterable[bytes]
) -> dict[bytes, Entry | None]:
    """What to change in C to get K: each refused protected path as it is in L, None where L has none.

    What C put in the way of a restored path (a file or link where a folder was, a folder where a file was) goes.
    """
    changes: dict[bytes, Entry | None] = {path: l_tree.get(path) for path in refused}
    restored = {path for path, entry in changes.items() if entry is not None}
    if not restored:
        return changes
    above = {parent for path in restored for parent in _parents(path)}
    for path in c_tree:
        if path in above or (path not in restored and any(parent in restored for parent in _parents(path))):
            changes[path] = None
    return changes


def granted(changed: Iterable[bytes], *, by_user: Sequence[str], by_model: Sequence[str]) -> frozenset[bytes]:
    """The changed protected paths that a permission lifts. No model can grant a host path."""
    paths = tuple(changed)
    by_models = matching(by_model, paths) if by_model else frozenset()
    return (matching(by_user, paths) if by_user else frozenset()) | (by_models - host_paths(paths))


def to_acknowledge(
    l_tree: Mapping[bytes, object], c_tree: Mapping[bytes, object], protected: Protection
) -> tuple[bytes, ...]:
    """What an approval must name: changed protected files of L, and new configuration files. New tests are free."""
    changed = protected_changes(l_tree, c_tree, protected)
    old = {path for path in changed if path in l_tree}
    new = [path for path in changed_paths(l_tree, c_tree) if path not in l_tree]
    every = [pattern for patterns in CONFIGURATION.values() for pattern in patterns]
    shadows = set(protected.shadows)
    shadowing = {path for path in new if shadows and _root_module(path) in shadows}
    return tuple(sorted(old | shadowing | matching([*BUILD_FILES, *every, *SETUP_INPUTS], new)))


def host_paths(paths: Iterable[bytes], named: Sequence[str] = ()) -> frozenset[bytes]:
    """The paths that the host, the user's tools or the next run execute or obey.

    `named` are the pipeline file and what it names (paths from the tree's root, or globs as `tasks` has them). Names
    are compared as the least exact file system does: without case, and without what HFS+ does not see.
    """
    shipped = GitIgnoreSpec.from_lines([_folded(pattern) for pattern in HOST], backend="simple")
    exact = {_folded(name.removeprefix("./")) for name in named}
    globs = GitIgnoreSpec.from_lines(
        [f"/{name.lstrip('/')}" for name in sorted(exact) if grant_problem(name) is None], backend="simple"
    )
    # A file or link in the place of a folder takes away what lies below.
    above = {parent for name in exact for parent in _parents(name.encode("utf-8", "surrogateescape"))}
    found = set()
    for path in paths:
        plain = _folded(_plain(path))
        raw = plain.encode("utf-8", "surrogateescape")
        if shipped.match_file(plain) or plain in exact or globs.match_file(plain) or raw in above:
            found.add(path)
    return frozenset(found)


def grant_problem(pattern: str) -> str | None:
    """What is wrong with a `may-change` pattern (gitignore syntax without negation); None where it can be used."""
    if not pattern.strip():
        return "an empty pattern permits nothing: name a path, such as tests/test_parser.py"
    if len(pattern) > MAX_PATTERN:
        return f"a pattern has at most {MAX_PATTERN} characters"
    if pattern.startswith("!"):
        return f"{pattern!r}: a permission cannot begin with `!`; name only what may change"
    if pattern.startswith("#"):
        return f"{pattern!r} is a comment in gitignore syntax; write \\# for a file whose name begins so"
    if any(ord(character) < 32 for character in pattern):
        return f"{pattern!r}: control characters are not allowed in a pattern"
    if ".." in pattern.split("/"):
        return f"{pattern!r}: patterns are relative to the root of the repository, without `..`"
    try:
        spec = GitIgnoreSpec.from_lines([pattern], backend="simple")
    except ValueError:
        return f"{pattern!r} is no gitignore pattern"
    if all(one.include is None for one in spec.patterns):
        return f"{pattern!r} matches nothing in gitignore syntax"
    return None


def model_grant_problem(pattern: str) -> str | None:
    """What is wrong with a pattern of a model, which may be made to take for ever; None where it can be used."""
    if len(re.findall(r"\*+", pattern)) > MAX_STARS:
        return f"a pattern has at most {MAX_STARS} stars: name the files, or their folder"
    return grant_problem(pattern)


def names_host_path(pattern: str, named: Sequence[str] = (), allowed: Sequence[str] = ()) -> bool:
    """Whether a permission names a host path, such as `Makefile`, `.github/workflows/*` or `**/AGENTS.md`, that the
    user's own patterns do not allow.
    """
    path = pattern.strip().lstrip("/").removeprefix("**/").rstrip("/").removesuffix("/**")
    if not path or pattern in allowed:
        return False
    paths = [path.encode("utf-8", "surrogateescape")]
    return bool(host_paths(paths, named) - (matching(allowed, paths) if allowed else frozenset()))


def exactly(path: bytes) -> str:
    """The gitignore pattern that selects one path (and what lies below it)."""
    escaped = re.sub(r"([\\*?\[\]!#])", r"\\\1", _plain(path))
    # A pattern loses its white space at the end, unless it stands in brackets.
    return "/" + re.sub(r"(\s)\Z", r"[\1]", escaped)


def _plain(path: bytes) -> str:
    """Text to match against. Line ends, which a pattern's `.` would stop at, become another character."""
    return path.decode("utf-8", "surrogateescape").replace("\n", "\x01").replace("\r", "\x01")


def _folded(text: str) -> str:
    return unicodedata.normalize("NFC", _UNSEEN.sub("", text)).casefold()


def _parents(path: bytes) -> list[bytes]:
    parts = path.split(b"/")
    return [b"/".join(parts[:size]) for size in range(1, len(parts))]


def _named_in(command: str, paths: Collection[bytes]) -> set[bytes]:
    """Files of the tree that a shell command names: what it reads first is part of how the tree is tested."""
    words = {word.removeprefix("./") for word in re.split(r"[\s;&|()<>\"'=`$]+", command)}
    wanted = {word.encode("utf-8", "surrogateescape") for word in words if word and not word.startswith("-")}
    known = paths if isinstance(paths, set | frozenset | Mapping) else set(paths)
    # After a `cd` the same words name files of that folder.
    folders = {word.rstrip(b"/") for word in wanted} if re.search(r"\bcd\b", command) else set()
    return {name for word in wanted for name in (word, *(folder + b"/" + word for folder in folders)) if name in known}


def _test_folders(paths: Collection[bytes], kinds: Sequence[Ecosystem]) -> list[bytes]:
    """Folders below the root of which four of five source files, or more, are tests: their data lies beside them."""
    ends = tuple(end for kind in kinds for end in SOURCES[kind])
    sources = [path for path in paths if path.endswith(ends)]
    tests = matching([pattern for kind in kinds for pattern in TEST_MODULES[kind]], sources)
    count: dict[bytes, list[int]] = {}
    for path in sources:
        folder, _, name = path.rpartition(b"/")
        if folder and name != b"__init__.py":
            count.setdefault(folder, [0, 0])[path in tests] += 1
    return sorted(folder for folder, (others, found) in count.items() if found and others * 4 <= found)


def _shadows(paths: Iterable[bytes]) -> tuple[str, ...]:
    taken = {_root_module(path) for path in paths}
    return tuple(sorted(name for name in {*sys.stdlib_module_names, *RUNNER_LIBRARIES} if name not in taken))


def _root_module(path: bytes) -> str | None:
    """The name under which Python would import a root-level path, None for what is no module."""
    first, below, _ = path.removeprefix(b"src/").partition(b"/")
    name, dot, end = first.partition(b".")
    importable = bool(below) or (bool(dot) and end.endswith((b"py", b"pyc", b"so", b"pyd"))) or not dot
    return name.decode("utf-8", "replace") if importable else None
