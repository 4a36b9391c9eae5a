"""The shipped lists: which files of a Python, JavaScript or Go project decide how its tests judge. Only data.

Patterns are gitignore syntax. They follow principles, not tricks: tests and their data; what the runner obeys at any
level; what could take the runner's place; what the command reads first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Ecosystem = Literal["python", "javascript", "go"]

SIGNS: Mapping[Ecosystem, tuple[str, ...]] = {
    "python": ("*.py", "pyproject.toml", "setup.cfg", "tox.ini"),
    "javascript": ("*.js", "*.mjs", "*.cjs", "*.jsx", "*.ts", "*.mts", "*.cts", "*.tsx", "package.json"),
    "go": ("*.go", "go.mod"),
}

# Modules that hold tests, and how the names of sources end, which a folder of tests is told apart by.
TEST_MODULES: Mapping[Ecosystem, tuple[str, ...]] = {
    "python": ("test_*.py", "*_test.py", "*_tests.py", "tests.py", "conftest.py"),
    "javascript": (
        *(f"*{mark}.{end}" for mark in (".test", ".spec", "-test", "_test", "-spec", ".e2e") for end in (
            "js", "mjs", "cjs", "jsx", "ts", "mts", "cts", "tsx")),
        "test.js", "test.mjs", "test.cjs", "test.ts",
    ),
    "go": ("*_test.go",),
}  # fmt: skip
SOURCES: Mapping[Ecosystem, tuple[bytes, ...]] = {
    "python": (b".py",),
    "javascript": (b".js", b".mjs", b".cjs", b".jsx", b".ts", b".mts", b".cts", b".tsx"),
    "go": (b".go",),
}

# Tests' folders and data, by any ecosystem.
TEST_DATA = (
    "tests", "test", "*_tests", "*-tests", "testdata", "test_data", "test-data", "test-fixtures", "test_fixtures",
    "e2e", "*.golden",
)  # fmt: skip
DATA: Mapping[Ecosystem, tuple[str, ...]] = {
    "python": ("__snapshots__", "*.ambr"),
    "javascript": ("__tests__", "__mocks__", "__snapshots__", "__fixtures__", "*.snap", "cypress"),
    "go": (),
}

# What the command reads first, whoever the runner is.
BUILD_FILES = (
    "Makefile", "makefile", "GNUmakefile", "*.mk", "justfile", "Justfile", ".justfile", "Taskfile.yml",
    "Taskfile.yaml", "Rakefile", "CMakeLists.txt", "build.gradle", "build.gradle.kts", "pom.xml",
)  # fmt: skip

# What a runner obeys, and what could take its place.
CONFIGURATION: Mapping[Ecosystem, tuple[str, ...]] = {
    "python": (
        "conftest.py", "pytest.ini", ".pytest.ini", "pytest.toml", ".pytest.toml", "tox.ini", "tox.toml", "setup.cfg",
        "setup.py", "pyproject.toml", "noxfile.py", "/manage.py", ".coveragerc", "unittest.cfg", "nose2.cfg",
        "sitecustomize.py", "usercustomize.py", "sitecustomize", "usercustomize", "*.pth", "*.egg-info", "*.dist-info",
        "*.egg-link", "__pycache__", "*.pyc", "*.pyo", "pyvenv.cfg", ".venv", "venv", "site-packages",
        "/pytest", "/pytest.*", "/_pytest", "/_pytest.*", "/pluggy", "/pluggy.*", "/iniconfig", "/iniconfig.*",
    ),
    "javascript": (
        "package.json", ".npmrc", ".yarnrc", ".yarnrc.yml", ".yarn", ".pnp.*", ".pnpmfile.cjs", "pnpm-workspace.yaml",
        "jest.config.*", "jest.setup.*", "jest-*.config.*", "vitest.config.*", "vitest.workspace.*", "vitest.setup.*",
        "vite.config.*", "karma.conf.*", ".mocharc.*", "mocha.opts", "ava.config.*", ".taprc", "playwright.config.*",
        "cypress.config.*", "babel.config.*", ".babelrc*", ".swcrc", "tsconfig*.json", "jsconfig.json", ".nycrc*",
        ".c8rc*", "wdio.conf.*", "testem.*", "node_modules", "bunfig.toml", "deno.json", "deno.jsonc", ".node-options",
    ),
    "go": ("go.mod", "go.sum", "go.work", "go.work.sum", "vendor", "go.env"),
}  # fmt: skip

# Top-level modules that pytest and its usual plugins import, in any of their versions, behind the current directory.
RUNNER_LIBRARIES: tuple[str, ...] = (
    "atomicwrites", "attr", "attrs", "colorama", "exceptiongroup", "importlib_metadata", "importlib_resources",
    "iniconfig", "more_itertools", "packaging", "pathlib2", "pkg_resources", "pluggy", "py", "pygments", "setuptools",
    "six", "toml", "tomli", "typing_extensions", "wcwidth", "zipp",
    "_hypothesis_ftz_detector", "_hypothesis_globals", "_hypothesis_pytestplugin", "anyio", "coverage", "execnet",
    "faker", "freezegun", "hypothesis", "pytest_asyncio", "pytest_benchmark", "pytest_cov", "pytest_django",
    "pytest_env", "pytest_mock", "pytest_randomly", "pytest_rerunfailures", "pytest_subtests", "pytest_timeout",
    "respx", "sniffio", "sortedcontainers", "syrupy", "typeguard", "xdist",
)  # fmt: skip

# The usual manifests and lock files, at the root of the tree: what a setup is made from.
SETUP_INPUTS = (
    "/pyproject.toml", "/setup.py", "/setup.cfg", "/requirements*.txt", "/requirements/*.txt", "/constraints*.txt",
    "/uv.lock", "/poetry.lock", "/pdm.lock", "/pylock*.toml", "/Pipfile", "/Pipfile.lock", "/environment.y*ml",
    "/package.json", "/package-lock.json", "/npm-shrinkwrap.json", "/yarn.lock", "/pnpm-lock.yaml", "/bun.lock*",
    "/go.mod", "/go.sum", "/go.work", "/go.work.sum", "/Cargo.toml", "/Cargo.lock", "/Gemfile", "/Gemfile.lock",
)  # fmt: skip

# What the host, the user's tools or the next run execute or obey, at any depth.
HOST = (
    "Makefile", "GNUmakefile", "*.mk", "AGENTS.md", "CLAUDE.md", ".github", ".envrc", ".vscode", ".husky",
    ".pre-commit-config.yaml", ".gitattributes", ".gitmodules",
)  # fmt: skip
