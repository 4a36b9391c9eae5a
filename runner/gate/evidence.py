"""The values a verdict is made of: how a gate is defined, what a run left, what the landing branch proved.

All of it is recorded, so that a verdict can be worked out again from the record alone. No I/O.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from runner.codec import encode
from runner.gate.results import Report

ResultKind = Literal["junit", "exit-code"]
RunEnd = Literal["exited", "timeout", "killed", "setup-failed"]

# Part of every definition's hash: a verdict of other rules is another verdict.
RULES = 1


@dataclass(frozen=True)
class GateDefinition:
    """How a tree is tested, from the frozen pipeline and L's listing; never from the candidate.

    `results` is what L's own run showed; `patterns` are the protected files in effect (gitignore syntax).
    """

    name: str
    run: str
    results: ResultKind
    report_path: str | None
    patterns: tuple[str, ...]
    shadows: tuple[str, ...]
    min_tests: int
    timeout: float
    env: Mapping[str, str]
    rules: int = RULES

    @property
    def hash(self) -> str:
        """SHA-256 (hex) of the canonical JSON of this definition."""
        return hashlib.sha256(encode(self)).hexdigest()


@dataclass(frozen=True)
class RunEvidence:
    """What one run of the gate's command left.

    `end` is the engine's word, never the stream's: `setup-failed` means that the tree's own environment could not be
    built, so the command never started. `report` None: none was left, or `unreadable` says why it cannot be believed.
    """

    end: RunEnd
    status: int | None
    seconds: float
    report: Report | None = None
    unreadable: str | None = None
    oom: bool = False


@dataclass(frozen=True)
class Baseline:
    """What L proved: `contract` are the ids that every candidate keeps.

    `known` are all ids that L reported, `reds` those that failed in any of its runs, `flaky` those whose outcome
    differed. `status` is how its runs ended, `seconds` the longest one.
    """

    results: ResultKind
    status: int
    seconds: float
    contract: tuple[str, ...] = ()
    flaky: tuple[str, ...] = ()
    reds: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    collection_errors: tuple[str, ...] = ()
    files: Mapping[str, str] | None = None

    @property
    def empty(self) -> bool:
        """No test to keep: then a candidate has to bring its own."""
        return self.results == "junit" and not self.contract

    def file(self, test: str) -> str | None:
        return (self.files or {}).get(test)

    @property
    def hash(self) -> str:
        """SHA-256 (hex) of what decides verdicts: how long it took does not."""
        parts = (self.results, self.status, self.contract, self.flaky, self.reds, self.known, self.collection_errors)
        return hashlib.sha256(encode([*parts, self.files])).hexdigest()


@dataclass(frozen=True)
class Evidence:
    """One candidate before one gate. Ids of objects are git's; paths are written by `path_text`.

    `changed` are the protected paths that differ between L and C, `granted` those of them that a permission lifts,
    `inputs` the changed setup inputs among them without a grant. `permitted` are the files of L's ids that a
    permission names, changed or not. `k` None: K is C, so there is one run; `k_tree` then equals `c_tree`.
    """

    definition: GateDefinition
    baseline: Baseline
    landing: str
    c_tree: str
    k_tree: str
    c: RunEvidence | None
    k: RunEvidence | None = None
    changed: tuple[str, ...] = ()
    granted: tuple[str, ...] = ()
    permitted: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    environments: tuple[str, ...] = ()

    @property
    def refused(self) -> tuple[str, ...]:
        """Changed protected paths without a permission: in K they are as in L."""
        granted = set(self.granted)
        return tuple(path for path in self.changed if path not in granted)


def cache_key(evidence: Evidence) -> str:
    """The key under which a verdict may be used again: SHA-256 (hex) of everything it depends on but the runs.

    Only `passed` and `failed` may be kept. Permissions are part of it: those for files that did not change leave no
    trace in C and K.
    """
    trees = (evidence.c_tree, evidence.k_tree)
    words = (evidence.changed, evidence.granted, evidence.permitted, evidence.inputs, evidence.environments)
    parts = ["relay-verdict", *trees, evidence.baseline.hash, evidence.definition.hash, *words]
    return hashlib.sha256(encode(parts)).hexdigest()
