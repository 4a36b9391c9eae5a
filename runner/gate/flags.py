"""Static remarks on a change for the reviewer and the report. Few and plain; never part of a verdict."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from runner.gate.protect import path_text

LARGE = 1024**2  # bytes
SHOWN = 10  # paths named per flag

_SKIP = re.compile(
    rb"pytest\.(?:mark\.)?(?:skip|skipif|xfail|importorskip)\b|unittest\.(?:skip\w*|expectedFailure)\b|@skip\w*\b"
    rb"|\b(?:it|test|describe|context)\.(?:skip|todo|only|failing)\b|\bx(?:it|describe|test)\s*\("
    rb"|\bt\.Skip(?:f|Now)?\(|collect_ignore"
)
_TEST = re.compile(
    rb"^[ \t]*(?:async\s+)?def\s+test|^[ \t]*(?:it|test)(?:\.each)?\s*\(|^func\s+Test[A-Z_]\w*\(", re.MULTILINE
)
_ASSERT = re.compile(rb"\bassert\b|\bself\.assert\w+\(|\bexpect\s*\(|\bt\.(?:Error|Fatal)f?\(|\brequire\.\w+\(")
_REACH = re.compile(
    rb"\bos\._exit\b|\batexit\b|\b_pytest\b|\bPYTEST_\w+|\bsys\._getframe\b|\bsys\.settrace\b|\bgc\.get_\w+"
    rb"|['\"]pytest['\"]\s+in\s+sys\.modules|\bjunit\.xml\b"
)
_MARKER = re.compile(rb"^(?:<{7} .*|={7}|>{7} .*|\|{7} .*)\r?$", re.MULTILINE)


@dataclass(frozen=True)
class ChangedFile:
    """One path that differs between L and C. Modes as git has them (`100644`, `100755`, `120000`, `160000`).

    A side is None where the path is absent; its content is None where it was not read (a gitlink, or too large).
    """

    path: bytes
    old_mode: str | None
    new_mode: str | None
    old: bytes | None = None
    new: bytes | None = None


def flags(
    changes: Iterable[ChangedFile],
    *,
    protected: Collection[bytes] = (),
    acknowledge: Collection[bytes] = (),
    host: Collection[bytes] = (),
    tests: Collection[bytes] = (),
) -> tuple[str, ...]:
    """One sentence per remark. `protected`, `acknowledge`, `host` are of protect.py; `tests` the changed test files."""
    every = tuple(changes)
    old = [c.path for c in every if c.path in protected and c.old_mode is not None]
    new = [c.path for c in every if c.path in acknowledge and c.old_mode is None]
    product = [c for c in every if c.path.endswith(b".py") and c.path not in tests]
    found = [
        _named("changes protected files", old),
        _named("adds configuration files", new),
        _named("touches files that the host or the next run obeys", [c.path for c in every if c.path in host]),
        _counted("adds marks that skip tests or expect them to fail", _more(every, _SKIP)),
        _counted("removes tests", _more((c for c in every if c.path in tests), _TEST, removed=True)),
        _counted("removes assertions from tests", _more((c for c in every if c.path in tests), _ASSERT, removed=True)),
        _counted("reaches for the test runner or ends the process", _more(product, _REACH)),
        _named("leaves conflict markers in", [c.path for c in every if _markers(c)]),
        _named("adds or changes symbolic links", [c.path for c in every if c.new_mode == "120000"]),
        _named("changes submodules", [c.path for c in every if "160000" in (c.old_mode, c.new_mode)]),
        _named("changes the executable bit of", [c.path for c in every if _executable_changed(c)]),
        _named("adds or changes binary files", [c.path for c in every if c.new is not None and b"\0" in c.new[:8000]]),
        _named("adds or changes large files", [c.path for c in every if c.new is not None and len(c.new) > LARGE]),
    ]
    return tuple(flag for flag in found if flag)


def _named(what: str, paths: list[bytes]) -> str | None:
    if not paths:
        return None
    names = ", ".join(path_text(path) for path in sorted(paths)[:SHOWN])
    return f"{what}: {names}" + (f" and {len(paths) - SHOWN} more" if len(paths) > SHOWN else "")


def _counted(what: str, counts: Mapping[bytes, int]) -> str | None:
    """A remark whose paths carry numbers."""
    if not counts:
        return None
    shown = ", ".join(f"{path_text(path)} ({counts[path]})" for path in sorted(counts)[:SHOWN])
    return f"{what}: {shown}" + (f" and {len(counts) - SHOWN} more files" if len(counts) > SHOWN else "")


def _more(changes: Iterable[ChangedFile], what: re.Pattern[bytes], *, removed: bool = False) -> dict[bytes, int]:
    """By path, how many more matches the new side has than the old one; the other way round for `removed`."""
    found = {}
    for change in changes:
        more = len(what.findall(change.new or b"")) - len(what.findall(change.old or b""))
        if (more := -more if removed else more) > 0:
            found[change.path] = more
    return found


def _markers(change: ChangedFile) -> bool:
    """All three kinds of lines that git writes into a conflict, and not there before."""
    kinds = {line[:1] for line in _MARKER.findall(change.new or b"")}
    return {b"<", b"=", b">"} <= kinds and not _MARKER.search(change.old or b"")


def _executable_changed(change: ChangedFile) -> bool:
    return {change.old_mode, change.new_mode} in (
        {"100644", "100755"},
        {None, "100755"},
    ) and change.new_mode is not None
