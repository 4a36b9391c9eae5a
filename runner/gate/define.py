"""From the gate of a pipeline file to the gate in effect: what L's listing and L's own run add to it."""

from __future__ import annotations

from collections.abc import Mapping

from pipelines.pipeline import Gate
from runner.gate.evidence import Baseline, GateDefinition
from runner.gate.protect import Protection


def define(gate: Gate, baseline: Baseline, protected: Protection, env: Mapping[str, str]) -> GateDefinition:
    """The definition whose hash stands in verdicts and cache keys. `env` is the container's whole environment."""
    return GateDefinition(
        name=gate.name,
        run=gate.run,
        results=baseline.results,
        report_path=gate.results.path if baseline.results == "junit" else None,
        patterns=protected.patterns,
        shadows=protected.shadows,
        min_tests=gate.min_tests,
        timeout=gate.timeout,
        env=dict(env),
    )
