"""The gate: the candidate that would land, and the candidate with the landing branch's protected files, both run fresh.

Everything that decides is put together here from trusted places: the frozen pipeline, L's own tree, the engine's word.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from pipelines.pipeline import Gate
from runner.codec import CodecError, convert, decode, encode, plain
from runner.flow import At, Judged
from runner.gate import verdict as verdicts
from runner.gate.baseline import next_baseline
from runner.gate.define import define
from runner.gate.evidence import Baseline, Evidence, cache_key
from runner.gate.protect import k_changes, matching, path_text, protected_changes
from runner.gate.verdict import Verdict, decide
from runner.git.candidate import Conflict, merge
from runner.git.history import tree_of
from runner.git.objects import TreeEntry, listing, write_commit
from runner.git.trees import write_tree_with
from runner.stages.baseline import Blamed, baseline_of, gates_used, keep, together
from runner.stages.branches import found, head_of, landing_tip
from runner.stages.context import Context
from runner.stages.environments import environment_key, environment_of, input_patterns, inputs_of
from runner.stages.gate_run import Ran, run_gate, setup_failed
from runner.stages.grants import Grants, grants
from runner.stages.names import record_key
from runner.stages.noted import note_on, tell
from runner.stages.project import protection_of
from runner.stages.records import GateRecord
from runner.stages.touched import Touched, touched
from sandbox.image import Environment, SetupFailed


@dataclass(frozen=True)
class Candidate:
    """What would land, and everything that follows from the two trees alone."""

    landing: str
    head: str
    tree: str
    l_tree: str
    l_paths: Mapping[bytes, TreeEntry]
    c_paths: Mapping[bytes, TreeEntry]


@dataclass(frozen=True)
class Outcome:
    """A verdict with the log that explains it, and the report of C's run."""

    verdict: Verdict
    log: bytes = b""
    report: bytes = b""
    evidence: bytes = b""
    cached: bool = False


def gate(context: Context, at: At) -> Judged:
    """Judge the change's candidate by every gate of the stage, in order, up to the first that is not passed."""
    journal = context.change_journal(at.change)
    record: GateRecord | None = None
    for name in context.stage(at.stage).objects:
        keys = (record_key(at, name), _broken_key(context, at, name))
        records = (found(journal, key, GateRecord) for key in keys)
        record = next((each for each in records if each is not None), None)
        if record is None:
            record = _judge(context, at, context.pipeline.gates[name])
        tell(context, record)
        if record.status != "passed":
            break
    assert record is not None  # a test stage names at least one gate
    return Judged(record.status, record.reason, record.summary)


def _broken_key(context: Context, at: At, name: str) -> str:
    """A broken verdict is nobody's change's fault, and stands for one session only: the next one judges again."""
    return record_key(at, f"{name}.e{context.epoch}")


def _judge(context: Context, at: At, by: Gate) -> GateRecord:
    repository = context.repository
    landing, head = landing_tip(context), head_of(context, at.change)
    merged = merge(repository, landing, head)
    if isinstance(merged, Conflict):
        told = verdicts.conflict(landing, merged.tree, [path_text(path) for path in merged.paths])
        return _record(context, at, by, head, Outcome(told), Touched())
    l_tree = tree_of(repository, landing)
    candidate = Candidate(
        landing, head, merged.tree, l_tree, listing(repository, l_tree), listing(repository, merged.tree)
    )
    context.emit("gate started", gate=by.name, tree=candidate.tree)
    given = grants(context, at.change)
    outcome = _outcome(context, at, by, candidate, given)
    every = [protection_of(context, gate, candidate.l_tree) for gate in gates_used(context)]
    seen = touched(context, candidate, every, given)
    return _record(context, at, by, head, outcome, seen)


def _outcome(context: Context, at: At, by: Gate, candidate: Candidate, given: Grants) -> Outcome:
    environment = environment_of(context, candidate.l_tree)
    baseline = baseline_of(context, by, candidate.l_tree, candidate.landing, environment)
    if isinstance(baseline, Blamed):
        return Outcome(verdicts.broken(by.name, "target-red", baseline.why), baseline.log)
    protected = protection_of(context, by, candidate.l_tree)
    changed = protected_changes(candidate.l_paths, candidate.c_paths, protected)
    lifted = given.lifts(changed)
    back = k_changes(candidate.l_paths, candidate.c_paths, set(changed) - lifted)
    k_tree = write_tree_with(
        context.repository, candidate.tree, {p: None if e is None else (e.mode, e.id) for p, e in back.items()}
    )
    definition = define(by, baseline, protected, context.pipeline.sandbox.env)
    own = _own_environment(context, at, candidate, given)
    evidence = Evidence(
        definition=definition,
        baseline=baseline,
        landing=candidate.landing,
        c_tree=candidate.tree,
        k_tree=k_tree,
        c=None,
        changed=tuple(path_text(path) for path in changed),
        granted=tuple(sorted(path_text(path) for path in lifted)),
        permitted=_permitted(baseline, given),
        inputs=tuple(path_text(path) for path in _changed_inputs(context, candidate) if not given.lifts([path])),
        environments=(environment_key(context, candidate.tree, only_for=own) if own else environment.key,),
    )
    kept = _kept(context, evidence)
    if kept is not None:
        return kept
    outcome, c = _run(context, at, by, candidate, evidence, environment, own)
    if outcome.verdict.status == "passed" and own is None:
        keep(context, by, candidate.tree, environment, next_baseline(baseline, c.evidence))
    _keep(context, evidence, outcome)
    return outcome


def _run(
    context: Context,
    at: At,
    by: Gate,
    candidate: Candidate,
    evidence: Evidence,
    environment: Environment,
    own: str | None,
) -> tuple[Outcome, Ran]:
    """Run C and K side by side, each in a fresh container, and decide."""
    try:
        used = environment_of(context, candidate.tree, only_for=own) if own is not None else environment
    except SetupFailed as failed:
        ran = setup_failed(failed.log.encode())
        judged = replace(evidence, c=ran.evidence, k=ran.evidence)
        return Outcome(decide(judged), ran.log, b"", encode(judged)), ran
    trees = [candidate.tree] + ([evidence.k_tree] if evidence.k_tree != candidate.tree else [])
    runs: list[Callable[[], Ran]] = [
        partial(run_gate, context, by, tree, candidate.landing, used, f"{record_key(at, by.name)}.{at.change}.{which}")
        for tree, which in zip(trees, "CK", strict=False)
    ]
    both = together(context, runs)
    judged = replace(evidence, c=both[0].evidence, k=both[-1].evidence)
    verdict = decide(judged)
    shown = both[-1] if verdict.shown == "K" else both[0]
    return Outcome(verdict, _log(shown), both[0].report, encode(judged)), both[0]


def _log(ran: Ran) -> bytes:
    if not ran.omitted:
        return ran.log
    half = len(ran.log) // 2
    return b"%s\n[... %d bytes left out ...]\n%s" % (ran.log[:half], ran.omitted, ran.log[half:])


def _permitted(baseline: Baseline, given: Grants) -> tuple[str, ...]:
    """The files of L's ids that a permission names, changed or not."""
    files = set((baseline.files or {}).values())
    return tuple(sorted(path_text(path) for path in matching(given.patterns, [file.encode() for file in files])))


def _changed_inputs(context: Context, candidate: Candidate) -> list[bytes]:
    if context.pipeline.sandbox.setup is None:
        return []
    patterns = input_patterns(context, candidate.l_paths)
    before, after = inputs_of(context, candidate.l_tree, patterns), inputs_of(context, candidate.tree, patterns)
    return [path for path in sorted(before.keys() | after.keys()) if before.get(path) != after.get(path)]


def _own_environment(context: Context, at: At, candidate: Candidate, given: Grants) -> str | None:
    """Who alone may use the candidate's environment, where its setup inputs changed by permission; else None."""
    changed = _changed_inputs(context, candidate)
    if not changed or given.lifts(changed) != set(changed):
        return None
    return f"{context.run}/{at.change}"


def _cache_path(context: Context, evidence: Evidence) -> Path:
    return context.repository.state / "cache" / "verdicts" / f"{cache_key(evidence)}.json"


def _kept(context: Context, evidence: Evidence) -> Outcome | None:
    try:
        outcome = decode(_cache_path(context, evidence).read_bytes(), Outcome)
    except (FileNotFoundError, CodecError):
        return None
    # The same trees on another commit give the same verdict, of this commit.
    verdict = replace(outcome.verdict, landing=evidence.landing)
    return Outcome(verdict, outcome.log, outcome.report, outcome.evidence, cached=True)


def _masked(context: Context, outcome: Outcome) -> Outcome:
    """What a test printed may be a key: nothing that is kept holds it. JSON is masked by its values."""
    evidence = decode(outcome.evidence, dict[str, Any]) if outcome.evidence else None
    return replace(
        outcome,
        verdict=convert(context.mask_values(plain(outcome.verdict)), Verdict),
        log=context.mask(outcome.log.decode(errors="replace")).encode(),
        report=context.mask(outcome.report.decode(errors="replace")).encode(),
        evidence=encode(context.mask_values(evidence)) if evidence else b"",
    )


def _keep(context: Context, evidence: Evidence, outcome: Outcome) -> None:
    """Only `passed` and `failed` may be used again."""
    if outcome.verdict.status == "broken":
        return
    path = _cache_path(context, evidence)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = path.with_suffix(f".{context.run}.part")
    part.write_bytes(encode(_masked(context, outcome)))
    part.rename(path)


def _record(context: Context, at: At, by: Gate, head: str, outcome: Outcome, seen: Touched) -> GateRecord:
    verdict = outcome.verdict
    record = GateRecord(
        round=at.round,
        stage=at.stage,
        gate=by.name,
        status=verdict.status,
        reason=verdict.reason,
        summary=context.mask(verdict.summary),
        landing=verdict.landing or landing_tip(context),
        head=head,
        tree=verdict.c_tree,
        k_tree=verdict.k_tree,
        paths=verdict.paths,
        acknowledge=seen.acknowledge,
        host_paths=seen.host_paths,
        flags=seen.flags,
        passed=verdict.passed,
        failed=verdict.failed,
        skipped=verdict.skipped,
        results=verdict.results,
        cached=outcome.cached,
        seconds=verdict.seconds,
        at=context.wall(),
    )
    if verdict.c_tree:
        note_on(context, verdict, at=record.at, change=at.change, round_number=at.round, head=head)
    kept = _masked(context, outcome)
    files = {
        "verdict": encode(kept.verdict),
        "evidence": kept.evidence,
        "log": kept.log,
        "report.xml": kept.report,
    }
    there = {name: content for name, content in files.items() if content}
    key = _broken_key(context, at, by.name) if record.status == "broken" else record_key(at, by.name)
    keeps = [_as_commit(context, record)] if record.tree else []
    context.change_journal(at.change).append(key, plain(record), there, keeps=keeps)
    return record


def _as_commit(context: Context, record: GateRecord) -> str:
    """The candidate as a commit, which only the journal knows: a tree that no commit has is lost to `git gc`."""
    parents, when = [record.landing, record.head], int(record.at)
    return write_commit(context.repository, record.tree, parents, "Candidate, as tested", when=when)
