"""What a repository is made of, read off its file names and manifests: language, test command, setup. Runs nothing."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

Read = Callable[[str], str]  # a path of the tree -> its text; empty where there is none


@dataclass(frozen=True)
class Project:
    """How to test a project. `run` is empty when nothing was found; `why` says what spoke for it.

    `image` is a usual image of the ecosystem; `packages` are what the base image `debian` lacks for it.
    """

    language: str
    run: str
    why: str
    image: str
    setup: str = ""
    packages: tuple[str, ...] = ()


def detect(paths: Collection[str], read: Read) -> Project:
    """The project whose tree has `paths`. What is more specific wins: a runner over a language over a make file."""
    for look in (_python, _javascript, _go, _rust):
        found = look(paths, read)
        if found and found.run:
            return found
    if re.search(r"^test:", read("Makefile") or read("GNUmakefile"), re.MULTILINE):
        return Project("", "make test", "the make file has a target `test`", "debian", packages=("make",))
    return Project("", "", "no test command was recognised", "debian")


def _python(paths: Collection[str], read: Read) -> Project | None:
    manifests = ("pyproject.toml", "setup.py", "setup.cfg", "requirements.txt", "tox.ini", "pytest.ini")
    tests = [path for path in paths if re.search(r"(^|/)(test_[^/]*|[^/]*_test)\.py$", path)]
    if not tests and not any(name in paths for name in manifests):
        return None
    image, manifest = "python:3.12-slim", _toml(read("pyproject.toml"))
    setup, brings_pytest = _python_setup(paths, read, manifest)
    speaks = [
        name for name in ("pyproject.toml", "setup.cfg", "tox.ini", "requirements-dev.txt") if "pytest" in read(name)
    ]
    configured = [path for path in paths if path in ("pytest.ini",) or path.rsplit("/", 1)[-1] == "conftest.py"]
    texts = [read(path) for path in sorted(tests)[:20]]
    unittests = any("unittest" in text for text in texts) and not any(
        re.search(r"^def test_", t, re.MULTILINE) for t in texts
    )
    if speaks or configured or not unittests:
        why = f"{(speaks or configured or sorted(tests) or ['a Python project'])[0]} speaks for pytest"
        setup = setup if brings_pytest else " && ".join(filter(None, (setup, "pip install pytest")))
        return Project("Python", "python -m pytest -q", why, image, setup)
    return Project("Python", "python -m unittest", f"{sorted(tests)[0]} uses unittest", image, setup)


def _python_setup(paths: Collection[str], read: Read, manifest: dict[str, Any]) -> tuple[str, bool]:
    """What to install, and whether pytest comes with it."""
    steps, brings = [], False
    for name in ("requirements.txt", "requirements-dev.txt", "requirements-test.txt", "dev-requirements.txt"):
        if name in paths:
            steps.append(f"pip install -r {name}")
            brings = brings or bool(re.search(r"^pytest\b", read(name), re.MULTILINE))
    project = manifest.get("project", {})
    if project or "setup.py" in paths:
        extras = project.get("optional-dependencies", {}) if isinstance(project, dict) else {}
        extra = next((name for name in ("test", "tests", "testing", "dev") if name in extras), "")
        brings = brings or "pytest" in str(extras.get(extra, ""))
        steps.append(f"pip install -e .[{extra}]" if extra else "pip install -e .")
    groups = manifest.get("dependency-groups", {})
    group = next((name for name in ("test", "tests", "dev") if name in groups), "")
    if group:
        steps += ["pip install -U pip", f"pip install --group {group}"]  # --group is new in pip 25.1
        brings = brings or "pytest" in str(groups[group])
    return " && ".join(steps), brings


def _javascript(paths: Collection[str], read: Read) -> Project | None:
    if "package.json" not in paths:
        return None
    try:
        manifest = json.loads(read("package.json") or "{}")
    except ValueError:
        manifest = {}
    manifest = manifest if isinstance(manifest, dict) else {}
    scripts = manifest.get("scripts")
    script = str(scripts.get("test", "")) if isinstance(scripts, dict) else ""
    if script and "no test specified" not in script:
        run, why = "npm test", "package.json has a script `test`"
    elif any(re.search(r"(^|/)[^/]*[.-](test|spec)\.[cm]?js$|(^|/)test/[^/]+\.[cm]?js$", path) for path in paths):
        run, why = "node --test", "there are test files, and no script `test` in package.json"
    else:
        return None
    depends = any(manifest.get(key) for key in ("dependencies", "devDependencies"))
    setup = "npm ci" if "package-lock.json" in paths else "npm install" if depends else ""
    return Project("JavaScript", run, why, "node:22-slim", setup, ("nodejs", "npm"))


def _go(paths: Collection[str], read: Read) -> Project | None:
    if "go.mod" not in paths:
        return None
    setup = "go mod download" if "go.sum" in paths else ""
    return Project("Go", "go test ./...", "go.mod", "golang:1.24", setup, ("golang-go",))


def _rust(paths: Collection[str], read: Read) -> Project | None:
    if "Cargo.toml" not in paths:
        return None
    return Project("Rust", "cargo test", "Cargo.toml", "rust:1-slim", "cargo fetch", ("cargo",))


def _toml(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return {}
