"""What the landing branch proves before anybody is paid: every gate twice on L, kept by tree, gate and environment."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pipelines.pipeline import Gate
from runner.codec import CodecError, decode, encode
from runner.flow import Judged
from runner.gate.baseline import TargetRed, read_baseline
from runner.gate.evidence import RULES, Baseline
from runner.git.history import tree_of
from runner.stages.branches import landing_tip
from runner.stages.context import Context
from runner.stages.environments import environment_of
from runner.stages.gate_run import Ran, run_gate
from sandbox.image import Environment, SetupFailed


@dataclass(frozen=True)
class Blamed:
    """The landing branch is at fault: why, and the log that shows it."""

    why: str
    log: bytes


def begin(context: Context) -> Judged:
    """Build L's environment and run every gate on it. Nothing has been paid for yet."""
    tip = landing_tip(context)
    tree = tree_of(context.repository, tip)
    try:
        environment = environment_of(context, tree)
    except SetupFailed as failed:
        _tell(context, failed.log)
        return Judged("broken", "setup", f"`sandbox: setup` fails on the landing branch: {failed}")
    for gate in gates_used(context):
        found = baseline_of(context, gate, tree, tip, environment)
        if isinstance(found, Blamed):
            _tell(context, found.log.decode(errors="replace"))
            return Judged("broken", "target-red", found.why)
        context.emit("baseline done", gate=gate.name, seconds=round(found.seconds, 1), **_counts(found))
    return Judged("passed")


def _tell(context: Context, log: str) -> None:
    if log.strip():
        context.emit("notice", text=log[-4000:])


def gates_used(context: Context) -> tuple[Gate, ...]:
    """The gates of all test stages, each once, in order."""
    names = dict.fromkeys(name for stage in context.stages("test") for name in stage.objects)
    return tuple(context.pipeline.gates[name] for name in names)


def baseline_of(context: Context, gate: Gate, tree: str, tip: str, environment: Environment) -> Baseline | Blamed:
    """The contract of `tree` (of L) for a gate: kept from before, or from two runs now."""
    kept = load(context, gate, tree, environment)
    if kept is not None:
        return kept
    context.emit("baseline started", gate=gate.name, tree=tree)
    runs = [partial(run_gate, context, gate, tree, tip, environment, f"{gate.name}.L{number}") for number in (1, 2)]
    first, second = together(context, runs)
    found = read_baseline(gate, first.evidence, second.evidence)
    if isinstance(found, TargetRed):
        return Blamed(found.sentence, (first, second)[found.run].log)
    keep(context, gate, tree, environment, found)
    return found


def together(context: Context, runs: Sequence[Callable[[], Ran]]) -> list[Ran]:
    """All runs, side by side as far as the machine's processors go."""
    room = int(context.engine.info().cpus // max(context.pipeline.sandbox.limits.cpus, 0.01))
    with ThreadPoolExecutor(max_workers=max(1, min(len(runs), room))) as pool:
        return [future.result() for future in [pool.submit(run) for run in runs]]


def load(context: Context, gate: Gate, tree: str, environment: Environment) -> Baseline | None:
    """A baseline that this repository keeps, or None."""
    path = _path(context, gate, tree, environment)
    try:
        return decode(path.read_bytes(), Baseline)
    except (FileNotFoundError, CodecError):
        return None


def keep(context: Context, gate: Gate, tree: str, environment: Environment, baseline: Baseline) -> None:
    """Keep a baseline for the next round, the next change, the next night."""
    path = _path(context, gate, tree, environment)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = path.with_suffix(f".{context.run}.part")
    part.write_bytes(encode(baseline))
    part.rename(path)


def _path(context: Context, gate: Gate, tree: str, environment: Environment) -> Path:
    key = (RULES, tree, gate, environment.key, context.pipeline.sandbox.env, context.pipeline.sandbox.limits)
    files = sorted((name, hashlib.sha256(content).hexdigest()) for name, content in context.files.items())
    name = hashlib.sha256(encode([*key, files])).hexdigest()
    return context.repository.state / "cache" / "baselines" / f"{name}.json"


def _counts(baseline: Baseline) -> dict[str, object]:
    if baseline.results == "exit-code":
        return {"results": "exit-code"}
    return {
        "results": "junit",
        "tests": len(baseline.known),
        "contract": len(baseline.contract),
        "old_reds": len(baseline.reds),
        "flaky": list(baseline.flaky),
    }
