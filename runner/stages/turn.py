"""One role's turn: a workspace of a tree, a sandbox around it, the loop, and what is kept of both."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipelines.pipeline import Role
from runner import disk
from runner.agent.loop import run_turn
from runner.agent.tools import ENDING, ROLE_TOOLS, RoleKind
from runner.agent.transcript import masked
from runner.agent.turn import Check, Turn, TurnResult
from runner.codec import decode, encode
from runner.models.base import Place, Usage
from runner.stages.context import Context, Interrupted, ProviderDown
from runner.stages.models import asker, chain
from runner.stages.names import turn_folder
from runner.stages.records import Spending, Tokens
from runner.stages.workspaces import sandbox_spec, workspace_of
from sandbox.base import Sandbox
from sandbox.image import Environment
from sandbox.workspace import Workspace

KEPT: frozenset[str] = frozenset({"provider", "budget", "cancelled"})  # ends after which the turn can go on


@dataclass(frozen=True)
class Assignment:
    """A turn to take. `tree` is what the workspace holds, `history` the commit whose history the model may read."""

    key: str
    kind: RoleKind
    role: Role
    place: Place
    tree: str
    history: str
    environment: Environment
    system: str
    opening: str
    check: Check | None = None
    timeout: float = 1800.0
    idle_timeout: float = 600.0


@dataclass(frozen=True)
class Taken:
    """A turn that ended: how, its workspace as it was left, its masked transcript and what it cost."""

    result: TurnResult
    workspace: Workspace
    base: str  # the tree that the workspace began with
    began: int  # seconds since the epoch, the same in every session
    transcript: bytes
    spent: tuple[Spending, ...]

    @property
    def model(self) -> str:
        """Who spoke last."""
        return self.result.models[-1] if self.result.models else ""


@dataclass(frozen=True)
class _Base:
    """What a turn's folder was begun with, so that a resume lays the same layers below the same upper."""

    tree: str
    history: str
    began: int


@contextmanager
def taken(context: Context, assignment: Assignment) -> Iterator[Taken]:
    """Take the turn, or go on with it, and give it to the block; its folder is removed when the block succeeds.

    A turn that ended as `budget` keeps its folder, to go on from there. Raises Interrupted when the session is to end,
    ProviderDown when no model answers, SandboxError.
    """
    folder = turn_folder(context.folder, assignment.key)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    base = _base(folder, assignment, int(context.wall()))
    workspace = workspace_of(
        context,
        assignment.environment,
        tree=base.tree,
        history=base.history,
        home=folder / "workspace",
        name=assignment.key,
    )
    try:
        result = _run(context, assignment, workspace, folder / "transcript.jsonl")
        yield Taken(
            result,
            workspace,
            base.tree,
            base.began,
            masked((folder / "transcript.jsonl").read_bytes(), context.mask, "transcript.jsonl"),
            spending(context, assignment.role.name, assignment.key),
        )
        if result.end not in KEPT:
            workspace.remove()
            (folder / "transcript.jsonl").unlink(missing_ok=True)
            (folder / "base.json").unlink(missing_ok=True)
            folder.rmdir()
    finally:
        workspace.detach()


def _base(folder: Path, assignment: Assignment, now: int) -> _Base:
    path = folder / "base.json"
    if path.exists():
        return decode(path.read_bytes(), _Base)
    base = _Base(assignment.tree, assignment.history, now)
    disk.put(path, encode(base))
    return base


def _run(context: Context, assignment: Assignment, workspace: Workspace, transcript: Path) -> TurnResult:
    turn = Turn(
        key=assignment.key,
        place=assignment.place,
        system=assignment.system,
        opening=assignment.opening,
        tools=ROLE_TOOLS[assignment.kind],
        ending=ENDING[assignment.kind],
        max_steps=assignment.role.max_steps,
        timeout=assignment.timeout,
        idle_timeout=assignment.idle_timeout,
        check=assignment.check,
    )
    result = run_turn(
        turn,
        chain=chain(context, assignment.role),
        ask=asker(context),
        sandbox_for=_starter(context, assignment.environment, workspace),
        ledger=context.ledger,
        transcript=transcript,
        emit=context.emit,
        now=context.clock,
        cancelled=context.cancelled.is_set,
    )
    if result.end == "cancelled":
        raise Interrupted
    if result.end == "provider":
        raise ProviderDown(f"{assignment.role.name}: {result.detail}")
    return result


def _starter(context: Context, environment: Environment, workspace: Workspace) -> Callable[[], Sandbox]:
    return lambda: context.engine.start(sandbox_spec(context, environment, workspace, "turn"))


def spending(context: Context, role: str, key: str) -> tuple[Spending, ...]:
    """What one turn cost, by model."""
    account = context.ledger.account(key)
    costs = {model: part.amount.cost for model, part in account.parts.items()}
    return tuple(
        Spending(
            role=role,
            model=model,
            calls=account.calls[model],
            tokens=tokens(usage),
            cost_usd=None if (cost := costs[model]) is None else float(cost),
            at_most=account.parts[model].at_most,
        )
        for model, usage in account.usage.items()
    )


def tokens(usage: Usage) -> Tokens:
    """A usage as the JSON of a run shows it."""
    return Tokens(
        input=usage.fresh,
        output=usage.output,
        cache_read=usage.cache_read,
        cache_write=usage.cache_write + usage.cache_write_1h,
    )
