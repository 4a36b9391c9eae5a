"""How relay makes a test runner report: environment variables for the gate's container, and where the report lies."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pipelines.pipeline import Results

RESULT_DIR = "/relay"
REPORT_NAME = "junit.xml"
WORK_DIR = "/work"

# xunit1 is the family that says `file`; the suite's name marks pytest's own reports; no captured output in it.
_PYTEST = "-o junit_family=xunit1 -o junit_suite_name=pytest -o junit_logging=no"

_COUNT = r"\d+ (?:passed|failed|skipped|deselected|xfailed|xpassed|warnings?|errors?|rerun|subtests passed)"
_SUMMARY = re.compile(rf"^(?:=+ )?{_COUNT}(?:, {_COUNT})* in [\d.]+s", re.MULTILINE)


@dataclass(frozen=True)
class ReportPlace:
    """Where a gate's report lies after the command.

    `in_tree` None: `/relay/junit.xml` of the bounded result volume, which is empty at start. Else a path relative to
    `/work`: the stage must remove whatever the tree has there (file, symlink or folder) before the command starts, so
    that a report that was committed never counts, and collect it (regular files only) after the command has ended.
    """

    in_tree: str | None = None


def report_place(results: Results) -> ReportPlace | None:
    """Where to look for a report; None where the gate is told to go by the exit status."""
    if results.kind == "exit-code":
        return None
    return ReportPlace(_below_work(results.path) if results.path else None)


def runner_environment(results: Results, env: Mapping[str, str]) -> dict[str, str]:
    """The variables that make known runners report, on top of the user's own `env` (kept, ours last).

    Pytest obeys PYTEST_ADDOPTS wherever it is called from (`make test`, `tox -e` with pass_env, a script); jest-junit
    obeys its variable where the project has configured it. Other runners need `results: {junit: path}`.
    """
    if results.kind == "exit-code":
        return dict(env)
    ours = _PYTEST if results.path else f"--junitxml={RESULT_DIR}/{REPORT_NAME} {_PYTEST}"
    added = {"PYTEST_ADDOPTS": " ".join(filter(None, (env.get("PYTEST_ADDOPTS"), ours)))}
    if not results.path:
        added["JEST_JUNIT_OUTPUT_FILE"] = f"{RESULT_DIR}/{REPORT_NAME}"
    return {**env, **added}


def pytest_runs(log: str) -> int:
    """How many runs of pytest ended in this log, by their last lines. For a remark at start, never for a verdict.

    Each run overwrites the report of the one before, so with more than one the contract knows only the last one's ids.
    """
    return len(_SUMMARY.findall(log))


def _below_work(path: str) -> str:
    return path.removeprefix(WORK_DIR + "/").removeprefix("./")
