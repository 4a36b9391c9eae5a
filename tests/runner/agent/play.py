"""What the agent's tests play with: a workspace on this machine, models that follow a script, a clock that is set."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from runner.agent.ledger import Ledger
from runner.agent.loop import run_turn
from runner.agent.tools import ENDING, ROLE_TOOLS, RoleKind
from runner.agent.turn import Check, Link, Turn, TurnResult
from runner.limits import Limit
from runner.models.base import Entry, Model, Place, Reply, Tool, ToolCall, Usage
from runner.models.prices import Rates
from sandbox.base import ExecResult, FileRefused, SandboxDied


class Killed(BaseException):
    """A kill -9, as near as a test can have it inside one process."""


@dataclass
class LocalSandbox:
    """A Sandbox without a container: commands run on this machine, in a directory that stands for /work."""

    root: Path
    kill_after: int = -1  # the number of the operation after which the process dies
    operations: list[str] = field(default_factory=list)
    closed: int = 0

    @property
    def id(self) -> str:
        return "local"

    def exec(self, command: str, *, timeout: float) -> ExecResult:
        if command == "die":
            raise SandboxDied("killed")
        done = subprocess.run(
            ["sh", "-c", command.replace("/work", str(self.root))],
            cwd=self.root,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout,
            check=False,
        )
        self._did(command)
        return ExecResult(done.returncode, done.stdout, 0, False, 0.0)

    def read(self, path: str, *, limit: int) -> bytes:
        try:
            with (self.root / path.removeprefix("/work/")).open("rb") as file:
                return file.read(limit)
        except OSError as error:
            raise FileRefused(f"{path}: {error.strerror}") from error

    def write(self, path: str, content: bytes) -> None:
        place = self.root / path.removeprefix("/work/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        self._did(f"write {path}")

    def close(self) -> None:
        self.closed += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _did(self, what: str) -> None:
        self.operations.append(what)
        if len(self.operations) == self.kill_after:
            raise Killed(what)


Answer = Reply | BaseException | Callable[[], Reply]


@dataclass
class Player:
    """A model that answers by a function of how many replies are in the history it is shown."""

    answers: Sequence[Answer]
    name: str = "test/one"
    context_window: int = 200_000
    max_output: int = 8_000
    seen: list[Sequence[Entry]] = field(default_factory=list)
    caps: list[int] = field(default_factory=list)
    heard: Callable[[], None] = lambda: None

    def ask(
        self, system: str, history: Sequence[Entry], tools: Sequence[Tool], *, max_tokens: int, place: Place
    ) -> Reply:
        self.seen.append(history)
        self.caps.append(max_tokens)
        answer = self.answers[min(self._step(history), len(self.answers) - 1)]
        if isinstance(answer, BaseException):
            raise answer
        return answer if isinstance(answer, Reply) else answer()

    def _step(self, history: Sequence[Entry]) -> int:
        return sum(entry.reply is not None for entry in history)


def says(*calls: tuple[str, Mapping[str, Any]], text: str = "", model: str = "test/one", **more: Any) -> Reply:
    """A reply that calls these tools."""
    made = tuple(ToolCall(f"c{number}", tool, dict(args)) for number, (tool, args) in enumerate(calls))
    fields: dict[str, Any] = {"stop": "tools" if calls else "end", "stop_detail": "", "usage": Usage(100, output=10)}
    return Reply(text, made, wire={"say": text}, model=model, **(fields | more))


TEN_DOLLARS = Rates(Decimal("0.00001"), Decimal("0.00001"))  # a token; ten dollars a million

DONE = ("done", {"summary": "It works."})


def link(model: Model) -> Link:
    def opened(heard: Callable[[], None]) -> Model:
        if isinstance(model, Player):
            model.heard = heard
        return model

    return Link(model.name, opened, TEN_DOLLARS, lambda usage: usage.total * Decimal("0.00001"))


@dataclass
class Table:
    """All that a turn needs, in one place; what a test does not set is ordinary."""

    path: Path
    models: Sequence[Model]
    limit: Limit = Limit()
    check: Check | None = None
    role: RoleKind = "implement"
    clock: list[float] = field(default_factory=lambda: [0.0])
    cancelled: Callable[[], bool] = lambda: False
    turn: Mapping[str, Any] = field(default_factory=dict)
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    sandboxes: list[LocalSandbox] = field(default_factory=list)
    kill_after: int = -1
    kill_at_event: int = -1

    @property
    def work(self) -> Path:
        (self.path / "work").mkdir(exist_ok=True)
        return self.path / "work"

    @property
    def transcript(self) -> Path:
        return self.path / "turn" / "transcript.jsonl"

    def play(self) -> TurnResult:
        """One session of the turn."""
        turn = Turn(
            key="t1-1.r1.implement",
            place=Place(self.role, "t1", "t1-1", 1),
            system="You build.",
            opening="Build it.",
            tools=ROLE_TOOLS[self.role],
            ending=ENDING[self.role],
            check=self.check,
            **self.turn,
        )
        with Ledger(self.path / "ledger.jsonl", self.limit, lambda: self.clock[0]) as ledger:
            return run_turn(
                turn,
                chain=[link(model) for model in self.models],
                ask=self._ask,
                sandbox_for=self._sandbox,
                ledger=ledger,
                transcript=self.transcript,
                emit=self._emit,
                now=lambda: self.clock[0],
                cancelled=self.cancelled,
            )

    def said(self, event: str) -> list[dict[str, Any]]:
        return [keys for name, keys in self.events if name == event]

    def _ask(
        self,
        model: Model,
        system: str,
        history: Sequence[Entry],
        tools: Sequence[Tool],
        *,
        max_tokens: int,
        place: Place,
        on_wait: Callable[[float, str], None] | None = None,
    ) -> Reply:
        return model.ask(system, history, tools, max_tokens=max_tokens, place=place)

    def _sandbox(self) -> LocalSandbox:
        self.sandboxes.append(LocalSandbox(self.work, self.kill_after))
        return self.sandboxes[-1]

    def _emit(self, event: str, /, **keys: Any) -> None:
        self.events.append((event, keys))
        if len(self.events) == self.kill_at_event:
            raise Killed(event)
