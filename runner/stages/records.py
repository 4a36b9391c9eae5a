"""What the journals hold: one frozen value per entry, its key, and nothing that is only true for a moment.

The journal of a run (`refs/relay/runs/<run>/journal`) and one per change (`.../changes/<change>`) are the truth; what
reports, notes and JSON show are views of them. Times are seconds since the epoch, UTC; money is USD, None: unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from runner.outcomes import ChangeOutcome, RunOutcome, TurnEnd


@dataclass(frozen=True)
class Tokens:
    """Disjoint counts, as the JSON of a run shows them."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0


@dataclass(frozen=True)
class Spending:
    """What one role's calls to one model cost. `at_most`: some usage was unknown and is booked at its reserve."""

    role: str
    model: str
    calls: int
    tokens: Tokens
    cost_usd: float | None
    at_most: bool = False


@dataclass(frozen=True)
class Options:
    """What the command line said; it wins over the file."""

    tasks: tuple[str, ...] = ()
    may_change: tuple[str, ...] = ()
    max_cost: str | None = None  # USD


@dataclass(frozen=True)
class Started:
    """Key `start` of the run. Files beside it: the pipeline as run and every file that it names."""

    run: str
    pipeline: str  # the file's name
    files: tuple[str, ...]
    target: str  # branch name
    target_commit: str
    landing_commit: str
    tasks: Mapping[str, str]  # id -> title (first line)
    sources: Mapping[str, str]  # task id -> path:blob of the file it came from
    options: Options
    relay: str  # version
    at: float
    kind: Literal["start"] = "start"


@dataclass(frozen=True)
class PlannedRecord:
    """Key `plan.<task>` of the run. File beside it: `transcript.jsonl`, where a plan role wrote it."""

    task: str
    end: TurnEnd
    title: str
    body: str
    changes: tuple[ChangeText, ...]
    base: str  # the landing branch's commit that the planner saw
    role: str = ""  # empty: there is no plan stage, the task's text is the spec
    model: str = ""
    why: str = ""
    spent: tuple[Spending, ...] = ()
    seconds: float = 0.0
    at: float = 0.0
    kind: Literal["plan"] = "plan"


@dataclass(frozen=True)
class ChangeText:
    """One change as the spec describes it. `id` is relay's, never a model's."""

    id: str
    title: str
    body: str
    needs: tuple[str, ...] = ()
    may_change: tuple[str, ...] = ()


@dataclass(frozen=True)
class TurnRecord:
    """Key `r<round>.<attempt>.<stage>` of a change: an implementer's turn. File: `transcript.jsonl`."""

    round: int
    stage: str
    role: str
    model: str  # that gave the last reply
    end: TurnEnd
    summary: str
    head: str  # the branch after the turn
    changed: tuple[str, ...]
    ignored: tuple[str, ...]  # new files left out by the tree's own ignore rules
    refused: tuple[str, ...]  # path: why
    steps: int
    spent: tuple[Spending, ...]
    why: str = ""
    seconds: float = 0.0
    at: float = 0.0
    kind: Literal["turn"] = "turn"


@dataclass(frozen=True)
class GateRecord:
    """Key `r<round>.<attempt>.<stage>.<gate>` of a change. Files: `verdict`, `evidence` (JSON), `log`, `report.xml`."""

    round: int
    stage: str
    gate: str
    status: Literal["passed", "failed", "broken"]
    reason: str | None
    summary: str
    landing: str  # L, the commit
    head: str
    tree: str  # of the candidate C; of the conflicting merge where reason is conflict
    k_tree: str
    paths: tuple[str, ...] = ()  # of needs-permission or conflict
    acknowledge: tuple[str, ...] = ()  # protected and configuration files that an approval must name
    host_paths: tuple[str, ...] = ()  # changed host paths that the user has not allowed
    flags: tuple[str, ...] = ()
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    results: str = ""  # junit or exit-code
    cached: bool = False
    seconds: float = 0.0
    at: float = 0.0
    kind: Literal["gate"] = "gate"


@dataclass(frozen=True)
class Comment:
    """One remark of a reviewer. `path` and `line` only where they exist in the candidate."""

    body: str
    path: str | None = None
    line: int | None = None
    severity: str | None = None


@dataclass(frozen=True)
class ReviewRecord:
    """Key `r<round>.<attempt>.<stage>.<role>` of a change. File: `transcript.jsonl`, unless it was carried over."""

    round: int
    stage: str
    role: str
    model: str
    end: TurnEnd
    decision: Literal["approve", "request_changes", "none"]
    summary: str
    comments: tuple[Comment, ...]
    acknowledged: tuple[str, ...]
    landing: str
    head: str
    tree: str
    opened: tuple[str, ...]  # what the reviewer looked at beyond the diff
    spent: tuple[Spending, ...] = ()
    carried: bool = False  # survived a move of the landing branch: the patch is the same
    why: str = ""
    seconds: float = 0.0
    at: float = 0.0
    kind: Literal["review"] = "review"


@dataclass(frozen=True)
class PermitRecord:
    """Key `r<round>.<attempt>.<stage>.permit` of a change. `by` is a role, or `you`."""

    round: int
    by: str
    model: str | None
    paths: tuple[str, ...]  # granted; empty: no
    asked: tuple[str, ...]
    reason: str
    spent: tuple[Spending, ...] = ()
    at: float = 0.0
    kind: Literal["permit"] = "permit"


@dataclass(frozen=True)
class DecisionRecord:
    """Key `decision.<n>` of a change: what the user said, bound to what they saw."""

    decision: Literal["approve", "reject"]
    head: str
    tree: str
    acknowledged: tuple[str, ...] = ()
    may_change: tuple[str, ...] = ()
    note: str = ""
    at: float = 0.0
    kind: Literal["decision"] = "decision"


@dataclass(frozen=True)
class LandRecord:
    """Key `r<round>.<attempt>.<stage>` of a change: the commit that lands, written before the branch moves to it."""

    commit: str
    tree: str
    parent: str
    branch: str  # full ref name
    head: str
    approved_by: tuple[str, ...]
    tested_by: tuple[str, ...]
    at: float = 0.0
    kind: Literal["land"] = "land"


@dataclass(frozen=True)
class OpenRecord:
    """Key `open` of a change."""

    change: str
    task: str
    title: str
    body: str
    number: int  # n of m
    total: int
    needs: tuple[str, ...]
    may_change: tuple[str, ...]
    base: str  # L when the change began
    spec_commit: str
    at: float = 0.0
    kind: Literal["open"] = "open"


@dataclass(frozen=True)
class CloseRecord:
    """Key `close.<epoch>` of a change."""

    outcome: ChangeOutcome
    rounds: int
    why: str
    landed: str | None
    at: float = 0.0
    kind: Literal["close"] = "close"


@dataclass(frozen=True)
class EndRecord:
    """Key `end.<epoch>` of the run: how one session of it ended."""

    outcome: RunOutcome
    why: str
    tasks: Mapping[str, TaskEnd] = field(default_factory=dict)
    seconds: float = 0.0
    at: float = 0.0
    kind: Literal["end"] = "end"


@dataclass(frozen=True)
class TaskEnd:
    """A task's outcome in the run's words, its changes in order with theirs, and why it was skipped."""

    outcome: RunOutcome
    changes: Mapping[str, ChangeOutcome] = field(default_factory=dict)
    why: str = ""
