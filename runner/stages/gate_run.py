"""One run of a gate's command: a fresh container on a fresh tree, and what the engine and the report say of it."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, replace

from pipelines.pipeline import Gate
from runner.gate.evidence import RunEvidence
from runner.gate.results import Unreadable, read_junit
from runner.gate.switch import REPORT_NAME, report_place, runner_environment
from runner.git.objects import entry, listing
from runner.git.trees import write_tree_with
from runner.stages.context import Context
from runner.stages.workspaces import sandbox_spec, workspace_of
from sandbox.base import CommandRun
from sandbox.image import Environment
from sandbox.overlay import remove_home
from sandbox.workspace import Workspace

MOST_REPORT = 32 * 1024**2  # bytes


@dataclass(frozen=True)
class Ran:
    """What a run left: the evidence, its output (head and tail), how many bytes lie between, and the raw report."""

    evidence: RunEvidence
    log: bytes
    omitted: int
    report: bytes


def run_gate(context: Context, gate: Gate, tree: str, history: str, environment: Environment, name: str) -> Ran:
    """Run `gate` on `tree`, materialised from its id, in `environment`. `name` is unique among runs under way.

    Raises Interrupted, SandboxError, GitError: what the command does is in the evidence.
    """
    place = report_place(gate.results)
    in_tree = place.in_tree.encode() if place and place.in_tree else None
    clean = tree
    if in_tree is not None and entry(context.repository, tree, in_tree) is not None:
        clean = write_tree_with(context.repository, tree, {in_tree: None})
    workspace = _workspace(context, clean, history, environment, name)
    try:
        spec = sandbox_spec(context, environment, workspace, "gate")
        spec = replace(spec, env=runner_environment(gate.results, spec.env))
        ran = context.engine.run_command(spec, gate.run, timeout=gate.timeout, collect=(REPORT_NAME,))
        context.check_interrupted()
        report = _report_in(workspace, in_tree) if in_tree is not None else ran.files.get(REPORT_NAME)
    finally:
        workspace.remove()
    return Ran(_evidence(context, tree, ran, report if place else None), ran.output, ran.omitted, report or b"")


def setup_failed(log: bytes) -> Ran:
    """A run that never began, since the tree's own environment could not be built."""
    return Ran(RunEvidence("setup-failed", None, 0.0), log, 0, b"")


def _workspace(context: Context, tree: str, history: str, environment: Environment, name: str) -> Workspace:
    home = context.folder / "gates" / name
    home.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    remove_home(context.engine, home)  # of a gate that was killed: what its command wrote must not judge again
    return workspace_of(context, environment, tree=tree, history=history, home=home, name=name)


def _evidence(context: Context, tree: str, ran: CommandRun, report: bytes | None) -> RunEvidence:
    evidence = RunEvidence(ran.end, ran.status, ran.seconds, oom=ran.oom)
    if report is None:
        return evidence
    try:
        paths = [path.decode(errors="surrogateescape") for path in listing(context.repository, tree)]
        return replace(evidence, report=read_junit([report], paths))
    except Unreadable as error:
        return replace(evidence, unreadable=str(error))


def _report_in(workspace: Workspace, path: bytes) -> bytes | None:
    """The report that the command left in the tree: a regular file, bounded. The container is gone already."""
    found = next((change for change in workspace.changes().present if change.path == path), None)
    if found is None or found.kind != "file":
        return None
    try:
        descriptor = os.open(found.host, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        return file.read(MOST_REPORT + 1)
