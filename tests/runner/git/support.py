"""Real repositories for the tests: fixed names and dates, and a picture of everything that relay must leave alone."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.git.repo import Repository, open_repository

PLAIN = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.com",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.com",
    "GIT_AUTHOR_DATE": "2024-01-02T03:04:05Z",
    "GIT_COMMITTER_DATE": "2024-01-02T03:04:05Z",
    "LC_ALL": "C",
}


def git(where: Path, *arguments: str | Path | bytes, env: Mapping[str, str] | None = None, **more: Any) -> str:
    """A user's git: what it prints."""
    done = subprocess.run(["git", *arguments], cwd=where, env={**PLAIN, **(env or {})}, capture_output=True, **more)
    assert done.returncode == 0, f"git {arguments}: {done.stderr.decode()}"
    return done.stdout.decode("utf-8", "surrogateescape").strip()


def write(where: Path, files: Mapping[str, str | bytes]) -> None:
    """Files by name, with their folders."""
    for name, content in files.items():
        path = where / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)


def make(where: Path, files: Mapping[str, str | bytes] | None = None, *, branch: str = "main") -> Path:
    """A repository with one commit."""
    where.mkdir(parents=True, exist_ok=True)
    git(where, "init", "-q", "-b", branch)
    save(where, files if files is not None else {"a.txt": "one\n", "src/b.py": "b = 1\n"})
    return where


def save(where: Path, files: Mapping[str, str | bytes], message: str = "change") -> str:
    """Write files and commit everything; the commit."""
    write(where, files)
    git(where, "add", "-A", "-f")
    git(where, "commit", "-q", "--allow-empty", "-m", message)
    return git(where, "rev-parse", "HEAD")


def opened(where: Path) -> Repository:
    """The repository as relay opens it."""
    return open_repository(where, environ={})


def picture(where: Path) -> dict[str, tuple[int, bytes]]:
    """Every file of a repository and its work tree that relay may not change: all but objects and relay's own."""
    found = {}
    for path in sorted(where.rglob("*")):
        name = path.relative_to(where).as_posix()
        inside = name.removeprefix(".git/")
        if name != inside and inside.startswith(("objects/", "relay/", "refs/relay", "refs/notes/relay")):
            continue
        if inside in ("refs/notes", "objects", "relay") or inside.startswith("refs/heads/relay"):
            continue
        about = path.lstat()
        content = os.fsencode(path.readlink()) if path.is_symlink() else path.read_bytes() if path.is_file() else b""
        found[name] = (about.st_mode, content)
    return found


@dataclass(frozen=True)
class Path_:
    """A changed path as a workspace reports it."""

    path: bytes
    kind: str
    host: bytes


@dataclass(frozen=True)
class Seen:
    """The changes of a workspace."""

    present: tuple[Path_, ...]
    removed: tuple[bytes, ...]
    cut: bool = False


def changes(work: Path, base: Mapping[bytes, object]) -> Seen:
    """All that is in a directory, and what of `base` is not: the coarsest report a workspace can make."""
    present = []
    for host in work.rglob("*"):
        path = os.fsencode(host.relative_to(work))
        if path.split(b"/")[0] == b".git" or (host.is_dir() and not host.is_symlink()):
            continue
        kind = "symlink" if host.is_symlink() else "file" if host.is_file() else "special"
        present.append(Path_(path, kind, os.fsencode(host)))
    there = {change.path for change in present}
    return Seen(tuple(present), tuple(path for path in base if path not in there))
