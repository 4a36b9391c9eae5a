"""`relay land RUN`: what a run landed beside the checked-out target comes into it, tested as it lands."""

from __future__ import annotations

from dataclasses import dataclass

from runner.gate.define import define
from runner.gate.evidence import Evidence
from runner.gate.protect import path_text, protected_changes
from runner.gate.verdict import decide
from runner.git.candidate import Conflict, merge
from runner.git.forward import InTheWay, fast_forward
from runner.git.history import is_ancestor, tree_of, with_trailers
from runner.git.objects import listing, write_commit
from runner.git.refs import RefUpdate, move, read
from runner.git.survey import checked_out_branches
from runner.stages.baseline import Blamed, baseline_of, gates_used
from runner.stages.branches import drop_held
from runner.stages.context import Context
from runner.stages.environments import environment_key, environment_of
from runner.stages.gate_run import run_gate, setup_failed
from runner.stages.names import landed_ref
from runner.stages.noted import note_on, tell
from runner.stages.project import protection_of
from sandbox.image import SetupFailed

HEADS = "refs/heads/"


@dataclass(frozen=True)
class BroughtIn:
    """Whether the target moved, to which commit, and why not otherwise."""

    moved: bool
    commit: str
    why: str = ""


def bring_in(context: Context) -> BroughtIn:
    """Move the target to what the run landed: fast-forward, or one gated merge commit when the target has moved.

    Nothing changes on a conflict, a red gate, or when a file of the target's work tree is in the way.
    """
    repository, branch = context.repository, f"{HEADS}{context.target}"
    landed, target = read(repository, landed_ref(context.run)), read(repository, branch)
    if target is None:
        return BroughtIn(False, "", f"the target branch {context.target} is gone")
    if landed is None or is_ancestor(repository, landed, target):
        drop_held(repository, context.target)
        return BroughtIn(True, target, f"{context.target} holds everything that this run landed already")
    commit = landed
    if not is_ancestor(repository, target, landed):
        merged = merge(repository, target, landed)
        if isinstance(merged, Conflict):
            names = ", ".join(path_text(path) for path in merged.paths)
            return _refused(context, f"it conflicts with {context.target} in {names}")
        red = _red(context, target, landed, merged.tree)
        if red:
            return _refused(context, red)
        commit = write_commit(repository, merged.tree, [target, landed], _message(context), when=int(context.wall()))
    if branch in checked_out_branches(repository):
        try:
            fast_forward(repository, branch, commit, target, environ=context.environ)
        except InTheWay as blocked:
            return BroughtIn(False, "", str(blocked))
    else:
        move(repository, [RefUpdate(branch, commit, target)])
    drop_held(repository, context.target)
    return BroughtIn(True, commit)


def _refused(context: Context, why: str) -> BroughtIn:
    """What stands against it is between the user's own commits and the run's, so it is theirs to merge."""
    branch = landed_ref(context.run).removeprefix(HEADS)
    return BroughtIn(False, "", f"{context.mask(why)}; nothing was moved. Merge it yourself: git merge {branch}")


def _red(context: Context, target: str, landed: str, tree: str) -> str:
    """Why the merge may not land, by every gate of the pipeline; empty when all are green.

    Both sides were approved, so what they changed in protected files stands; the target's contract is kept otherwise.
    """
    repository = context.repository
    t_tree = tree_of(repository, target)
    t_paths, paths = listing(repository, t_tree), listing(repository, tree)
    environment = environment_of(context, t_tree)
    key = environment_key(context, tree)
    for gate in gates_used(context):
        baseline = baseline_of(context, gate, t_tree, target, environment)
        if isinstance(baseline, Blamed):
            return baseline.why
        protected = protection_of(context, gate, t_tree)
        changed = tuple(path_text(path) for path in protected_changes(t_paths, paths, protected))
        try:
            same = key == environment.key
            used = environment if same else environment_of(context, tree, only_for=f"{context.run}/land")
            ran = run_gate(context, gate, tree, target, used, f"{gate.name}.land")
        except SetupFailed as failed:
            ran = setup_failed(failed.log.encode())
        evidence = Evidence(
            definition=define(gate, baseline, protected, context.pipeline.sandbox.env),
            baseline=baseline,
            landing=target,
            c_tree=tree,
            k_tree=tree,
            c=ran.evidence,
            changed=changed,
            granted=changed,
            permitted=changed,
            environments=(key,),
        )
        verdict = decide(evidence)
        note_on(context, verdict, at=context.wall(), head=landed)
        tell(context, verdict)
        if verdict.status != "passed":
            return f"the merge with {context.target} does not pass {gate.name}: {verdict.summary}"
    return ""


def _message(context: Context) -> str:
    return with_trailers(
        f"Merge what {context.run} landed into {context.target}",
        [("Relay-Run", context.run), ("Tested-by", "relay gate <gate@relay.invalid>")],
    )
