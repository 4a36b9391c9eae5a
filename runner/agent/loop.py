"""The one loop of all roles: ask the model, put its reply on the disk, run its tools, until something ends the turn.

Read `run_turn`, then `_Loop.run`. What the turn has come to is in `conversation.py`; this file only decides.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from runner.agent.calls import failed_beside, in_order, understood
from runner.agent.conversation import Record, conversation, fault
from runner.agent.ledger import BudgetReached, Ledger
from runner.agent.metered import Metered
from runner.agent.patience import STOPPED, Late, Patience
from runner.agent.room import cap_for, output_limit, room_made
from runner.agent.tools import tools_named
from runner.agent.transcript import Transcript
from runner.agent.turn import Ask, Emit, Link, Turn, TurnResult
from runner.agent.waiting import wait_for
from runner.agent.workbench import Workbench
from runner.models.base import Model, ModelError, Reply, ToolCall
from runner.models.retry import Cancelled
from runner.outcomes import TurnEnd
from sandbox.base import Sandbox

UNUSABLE = 3  # replies in a row
DEATHS = 3  # of the sandbox, in a turn
GRACE = 15.0  # seconds that a tool may be late: its own time limit comes first
STEPS_TOLD = (5, 1)  # steps left at which the model is reminded
RESUMABLE: frozenset[TurnEnd] = frozenset({"provider", "budget", "cancelled"})


@dataclass(frozen=True)
class _End:
    end: TurnEnd
    detail: str
    payload: Mapping[str, Any] | None = None


def run_turn(
    turn: Turn,
    *,
    chain: Sequence[Link],
    ask: Ask,
    sandbox_for: Callable[[], Sandbox],
    ledger: Ledger,
    transcript: Path,
    emit: Emit,
    now: Callable[[], float],
    cancelled: Callable[[], bool],
) -> TurnResult:
    """Run a turn to its end, or go on with one that was interrupted: then `transcript` holds how far it came.

    A turn that has ended for good gives the same result again and asks nobody; one that ended as `provider`, `budget`
    or `cancelled` goes on. `chain` is the role's model and its fallbacks, at least one; `now` is a monotonic clock in
    seconds. Every sandbox that was started is closed. Raises SandboxError (the engine fails), OSError (the disk is
    full), LinesError (somebody changed the transcript).
    """
    bench = Workbench(sandbox_for)
    with Transcript(transcript) as records:
        try:
            before = records.records[-1].at if records.records else 0.0
            patience = Patience(
                timeout=turn.timeout,
                idle_timeout=turn.idle_timeout,
                before=before,
                ledger=ledger,
                now=now,
                cancelled=cancelled,
            )
            loop = _Loop(turn, chain, ask, bench, ledger, records, patience, emit)
            return loop.result(loop.run())
        finally:
            bench.close()


class _Loop:
    def __init__(
        self,
        turn: Turn,
        chain: Sequence[Link],
        ask: Ask,
        bench: Workbench,
        ledger: Ledger,
        records: Transcript,
        patience: Patience,
        emit: Emit,
    ) -> None:
        self._turn, self._chain, self._ask_model, self._bench, self._ledger = turn, chain, ask, bench, ledger
        self._records, self._patience, self._emit = records, patience, emit
        self._tools = tools_named(turn.tools)
        overhead = len(json.dumps([(tool.name, tool.description, dict(tool.schema)) for tool in self._tools]))
        self._state = conversation(records.records, overhead)
        self._models: dict[int, Model] = {}
        # Only the first call without a result can have been under way when the last session ended.
        self._again = self._state.last is not None and not self._state.ended

    def run(self) -> _End:
        """Until the turn ends."""
        if self._state.ended is not None and self._state.ended.end is not None:
            return _End(self._state.ended.end, self._state.ended.text, self._state.ended.payload)
        if not self._records.records:
            self._record(Record("opening", 0, system=self._turn.system, text=self._turn.opening))
        model = self._chain[self._state.link].name
        self._emit("turn started", turn=self._turn.key, role=self._turn.place.role, model=model, step=self._state.steps)
        end: _End | None = None
        while end is None:
            end = self._answer() or self._over() or self._ask()
        final = end.end not in RESUMABLE
        self._record(Record("end", 0, end=end.end, text=end.detail, payload=end.payload, final=final))
        return end

    def result(self, end: _End) -> TurnResult:
        """The end with all that the turn used, sessions before this one included."""
        account = self._ledger.account(self._turn.key)
        result = TurnResult(
            end=end.end,
            detail=end.detail,
            payload=end.payload,
            steps=self._state.steps,
            usage=account.usage,
            cost=account.cost,
            at_most=account.spent.at_most,
            opened=tuple(self._state.opened),
            commands=self._state.commands,
            models=tuple(self._state.models),
            seconds=self._state.at,
        )
        self._emit("turn ended", turn=self._turn.key, end=end.end, why=end.detail, steps=result.steps, cost=result.cost)
        return result

    # What the last reply asks for

    def _answer(self) -> _End | None:
        """Do what the last reply asks for. None: nothing stands in the way of the next one."""
        reply = self._state.last
        end = self._ended()
        if end is not None or reply is None:
            return end
        wrong = fault(reply)
        if reply.stop == "refusal":
            return self._switch(f"{reply.model} refused: {reply.stop_detail or reply.text[:200]}", "refusal")
        if reply.stop == "context":
            return self._make_room(0)
        if reply.calls:
            return self._call_all(reply, wrong)
        self._record(Record("note", 0, text=wrong or ""))
        return None

    def _ended(self) -> _End | None:
        if self._state.deaths >= DEATHS:
            return _End("stuck", f"the sandbox ended {DEATHS} times under this turn's commands")
        payload = self._state.payload
        if payload is None and self._state.unusable >= UNUSABLE:
            said = self._state.complaint
            return _End(
                "format", f"{UNUSABLE} replies in a row asked for nothing that could be tried; the last: {said}"
            )
        if payload is None:
            return None
        return _End("done", str(payload.get("summary") or payload.get("title") or payload.get("reason") or ""), payload)

    def _call_all(self, reply: Reply, wrong: str | None) -> _End | None:
        again, self._again = self._again, False
        order = in_order(reply.calls, self._turn.ending)
        for number in order:
            if number in self._state.results:
                continue
            over = self._over()
            if over is not None:
                return over
            told = Record("result", 0, call=number, text=wrong or "", is_error=True)
            if not wrong:
                carried_out = self._call(reply.calls[number], again)
                if isinstance(carried_out, Late):
                    return _End(carried_out.end, carried_out.detail)
                told = replace(carried_out, call=number)
            again = False
            if number == order[-1] and not told.ends:
                told = replace(told, text=told.text + self._steps_left())
            self._record(told)
            self._emit(
                "tool ran",
                turn=self._turn.key,
                step=self._state.steps,
                tool=reply.calls[number].name,
                about=_about(reply.calls[number]),
                error=told.is_error,
            )
            end = self._ended()
            if end is not None:
                return end
        return None

    def _call(self, call: ToolCall, again: bool) -> Record | Late:
        asked = understood(call, self._turn.tools)
        if asked.wrong:
            return Record("result", 0, text=asked.wrong, is_error=True, refused=True)
        if call.name in self._turn.ending:
            return self._end_by(asked.args)
        seconds, limit = self._patience.left(), output_limit(self._model())
        self._patience.begin(
            f"while this ran: {call.name} {str(asked.args.get('command') or asked.args.get('path'))[:200]}"
        )
        outcome = wait_for(
            lambda: self._bench.run(call.name, asked.args, seconds=seconds, limit=limit, again=again),
            lambda: self._patience.late(GRACE),
        )
        if not isinstance(outcome, Late) and outcome.died:
            outcome = self._patience.late(GRACE) or outcome  # a session that ends takes the sandbox away itself
        return outcome if isinstance(outcome, Late) else Record("result", 0, **vars(outcome))

    def _end_by(self, args: Mapping[str, Any]) -> Record:
        """An ending tool: accepted, or an error that says why not. The other calls of the reply have run."""
        wrong = failed_beside(self._state.results.values())
        if wrong is None and self._turn.check is not None:
            said = self._turn.check(args)
            wrong = f"not accepted: {said}" if said else None
        if wrong:
            return Record("result", 0, text=wrong, is_error=True, refused=True)
        return Record("result", 0, text="accepted", ends=True, payload=args)

    def _steps_left(self) -> str:
        left = self._turn.max_steps - self._state.steps
        if left not in STEPS_TOLD:
            return ""
        return f"\n[{left} {'step' if left == 1 else 'steps'} left in this turn; end it with {self._turn.ending[0]}]"

    # The next reply

    def _ask(self) -> _End | None:
        state, link = self._state, self._chain[self._state.link]
        self._patience.begin(f"waiting for {link.name}")
        metered: Metered | None = None
        try:
            model = self._model()
            cap = cap_for(state, model, self._shorten)
            if cap is None:
                return _End("context", _full(model))
            metered = Metered(model, link, self._ledger, self._turn.key, lambda: state.at_most_tokens)
            asked, history = metered, state.entries
            self._bench.ahead()
            reply = wait_for(
                lambda: self._ask_model(
                    asked,
                    state.system,
                    history,
                    self._tools,
                    max_tokens=cap,
                    place=self._turn.place,
                    on_wait=self._waits,
                ),
                self._patience.late,
            )
        except BudgetReached as reached:
            return _End("budget", str(reached))
        except Cancelled:
            return _End("cancelled", STOPPED)
        except ModelError as error:
            if error.kind == "context":
                return self._make_room(0)
            said = str(error)
            return self._switch(said if said.startswith(link.name) else f"{link.name}: {said}", "provider")
        if isinstance(reply, Late):
            metered.abandon()
            return _End(reply.end, reply.detail)
        self._record(Record("reply", 0, reply=reply))
        self._emit(
            "model replied",
            turn=self._turn.key,
            step=self._state.steps,
            model=reply.model,
            stop=reply.stop,
            tools=[call.name for call in reply.calls],
            tokens=reply.usage.total if reply.usage else None,
            cost=self._ledger.account(self._turn.key).cost,
        )
        return None

    def _switch(self, why: str, end: TurnEnd) -> _End | None:
        """Let the next model of the chain take over, or end the turn when there is none."""
        link = self._state.link + 1
        if link >= len(self._chain):
            return _End(end, why)
        self._record(Record("switch", 0, link=link, text=why))
        self._emit("model switched", turn=self._turn.key, to=self._chain[link].name, why=why)
        return None

    def _make_room(self, tokens: int) -> _End | None:
        """The vendor says that the window is full, whatever was estimated."""
        if room_made(self._state, tokens, self._shorten):
            return None
        return _End("context", _full(self._model()))

    def _shorten(self, upto: int, keep: int) -> None:
        self._record(Record("shortened", 0, upto=upto, keep=keep))

    def _model(self) -> Model:
        number = self._state.link
        if number not in self._models:
            self._models[number] = self._chain[number].open(self._patience.heard)
        return self._models[number]

    def _over(self) -> _End | None:
        late = self._patience.late()
        if late is not None:
            return _End(late.end, late.detail)
        if self._state.steps >= self._turn.max_steps and self._state.last is None:
            return _End("steps", f"{self._turn.max_steps} steps are used")
        return None

    def _waits(self, seconds: float, why: str) -> None:
        self._patience.excuse(seconds)
        self._emit("model waits", turn=self._turn.key, seconds=round(seconds, 1), why=why)

    def _record(self, record: Record) -> None:
        """On the disk first, then true."""
        told = replace(record, at=self._patience.elapsed())
        self._records.append(told)
        self._state.take(told)
        self._patience.heard()


def _about(call: ToolCall) -> str:
    """What a call is about, for whoever watches: its path, or the first line of its command."""
    said = (call.args or {}).get("path") or (call.args or {}).get("command") or ""
    return str(said).strip().partition("\n")[0][:200]


def _full(model: Model) -> str:
    return f"the context window of {model.name} ({model.context_window} tokens) is full, old tool results cut down"
