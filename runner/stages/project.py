"""What the roles are told of the project: its gates and what they protect, its instructions, its tree."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from pipelines.pipeline import Gate, Role
from runner.agent.endings import Spec, SpecChange
from runner.agent.openings import INSTRUCTIONS, ChangeFacts, GateFacts, Project
from runner.gate.baseline import modules_of_tests
from runner.gate.protect import (
    Protection,
    model_grant_problem,
    names_host_path,
    path_bytes,
    path_text,
    protection,
    selecting,
)
from runner.git.history import tree_of
from runner.git.objects import TreeEntry, listing, read_blob
from runner.stages.baseline import gates_used, load
from runner.stages.branches import found, landing_tip, opened
from runner.stages.context import Context
from runner.stages.environments import environment_of, input_patterns
from runner.stages.grants import grants
from runner.stages.records import PlannedRecord


def protection_of(context: Context, gate: Gate, l_tree: str) -> Protection:
    """What a gate protects, from the landing branch's tree, its own run of the gate and the pipeline alone."""
    l_paths = listing(context.repository, l_tree)
    known = load(context, gate, l_tree, environment_of(context, l_tree))
    tests = {path_bytes(file) for file in modules_of_tests(known)} if known is not None else frozenset()
    inputs = input_patterns(context, l_paths)
    return protection(l_paths, run=gate.run, patterns=gate.protected_files, inputs=inputs, tests=tests)


def project_facts(context: Context, tree: str, role: Role) -> Project:
    """The project as a turn in `tree` is told of it. Texts and gates come from the landing branch."""
    l_tree = tree_of(context.repository, landing_tip(context))
    l_paths = listing(context.repository, l_tree)
    names = dict.fromkeys((*INSTRUCTIONS, *role.context))
    texts = {
        name: read_blob(context.repository, entry.id).decode(errors="replace")
        for name in names
        if (entry := l_paths.get(name.encode())) is not None and entry.kind == "blob"
    }
    return Project(
        paths=[path_text(path) for path in listing(context.repository, tree)],
        gates=[_gate_facts(context, gate, l_tree, l_paths) for gate in gates_used(context)],
        texts={name: context.mask(text) for name, text in texts.items()},
    )


def _gate_facts(context: Context, gate: Gate, l_tree: str, l_paths: Mapping[bytes, TreeEntry]) -> GateFacts:
    known = load(context, gate, l_tree, environment_of(context, l_tree))
    said = ""
    if known is not None:
        reds = f", {len(known.reds)} fail there already" if known.reds else ""
        said = f"{len(known.contract)} tests pass there{reds}" if known.results == "junit" else "it passes there"
    return GateFacts(
        name=gate.name,
        run=gate.run,
        results=known.results if known is not None else "exit-code",
        timeout=gate.timeout,
        min_tests=gate.min_tests,
        protected=selecting(protection_of(context, gate, l_tree).patterns, l_paths),
        baseline=said,
    )


def change_facts(context: Context, change: str) -> ChangeFacts:
    """A change and the spec that it is a part of."""
    about = opened(context, change)
    planned = found(context.journal, f"plan.{about.task}", PlannedRecord)
    if planned is None:
        raise LookupError(f"task {about.task} was never planned")
    changes = tuple(SpecChange(text.title, text.body, text.may_change) for text in planned.changes)
    return ChangeFacts(Spec(planned.title, planned.body, changes), about.number, grants(context, change).patterns)


def forbidden_to_models(context: Context, allowed: Sequence[str]) -> Callable[[str], str | None]:
    """Why a planner may not grant a pattern, or None."""

    def forbidden(pattern: str) -> str | None:
        problem = None if pattern in allowed else model_grant_problem(pattern)
        if problem is not None:
            return problem
        if names_host_path(pattern, context.named, allowed):
            return "files that the user's own tools obey are only the user's to allow; leave it out"
        return None

    return forbidden
