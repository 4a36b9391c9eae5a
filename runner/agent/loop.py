"""The one loop of all roles: ask the model, put its reply on the disk, run its tools, until something ends the turn.

Read `run_turn`, then `_Loop.run`. What the turn has come to is in `conversation.py`; this file only decides.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.agent.arguments import checked
from runner.agent.conversation import Record, conversation, fault
from runner.agent.ledger import BudgetReached, Ledger
from runner.agent.metered import Metered
from runner.agent.room import cap_for, output_limit, room_made
from runner.agent.tools import TOOLS, tools_named
from runner.agent.transcript import Transcript
from runner.agent.turn import Ask, Emit, Link, Turn, TurnResult
from runner.agent.waiting import wait_for
from runner.agent.workbench import Outcome, Workbench
from runner.models.base import Model, ModelError, Reply, ToolCall
from runner.models.retry import Cancelled
from runner.outcomes import TurnEnd
from sandbox.base import Sandbox

UNUSABLE = 3  # replies in a row
DEATHS = 3  # of the sandbox, in a turn
GRACE = 15.0  # seconds that a tool may be late: its own time limit comes first
STEPS_TOLD = (5, 1)  # steps left at which the model is reminded
STOPPED = "stopped by the user"
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
            loop = _Loop(turn, chain, ask, bench, ledger, records, emit, now, cancelled)
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
        emit: Emit,
        now: Callable[[], float],
        cancelled: Callable[[], bool],
    ) -> None:
        self._turn, self._chain, self._ask_model, self._bench, self._ledger = turn, chain, ask, bench, ledger
        self._records, self._emit, self._now, self._cancelled = records, emit, now, cancelled
        self._tools = tools_named(turn.tools)
        overhead = len(json.dumps([(tool.name, tool.description, dict(tool.schema)) for tool in self._tools]))
        self._state = conversation(records.records, overhead)
        self._before, self._started, self._heard = self._state.at, now(), now()
        self._doing, self._excused = "", 0.0
        self._models: dict[int, Model] = {}
        # Only the first call without a result can have been under way when the last session ended.
        self._again = self._state.last is not None and not self._state.ended

    def run(self) -> _End:
        """Until the turn ends."""
        if self._state.ended is not None and self._state.ended.end is not None:
            return _End(self._state.ended.end, self._state.ended.text, self._state.ended.payload)
        if not self._records.records:
            self._record(Record("opening", 0, system=self._turn.system, text=self._turn.opening))
        self._emit("turn started", turn=self._turn.key, role=self._turn.place.role, step=self._state.steps)
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
        state, reply = self._state, self._state.last
        end = self._ended()
        if end is not None or reply is None:
            return end
        wrong = fault(reply)
        if reply.stop == "refusal":
            return self._switch(f"{reply.model} refused: {reply.stop_detail or reply.text[:200]}", "refusal")
        if reply.stop == "context":
            return self._make_room(0)
        if state.unusable >= UNUSABLE:
            return _End(
                "format", f"{UNUSABLE} replies in a row asked for nothing that could be tried; the last: {wrong}"
            )
        if reply.calls:
            return self._call_all(reply, wrong)
        self._record(Record("note", 0, text=wrong or ""))
        return None

    def _ended(self) -> _End | None:
        if self._state.deaths >= DEATHS:
            return _End("stuck", f"the sandbox ended {DEATHS} times under this turn's commands")
        payload = self._state.payload
        if payload is None:
            return None
        return _End("done", str(payload.get("summary") or payload.get("title") or payload.get("reason") or ""), payload)

    def _call_all(self, reply: Reply, wrong: str | None) -> _End | None:
        again, self._again = self._again, False
        order = self._in_order(reply.calls)
        for number in order:
            if number in self._state.results:
                continue
            over = self._over()
            if over is not None:
                return over
            call = reply.calls[number]
            outcome = Outcome(wrong, is_error=True) if wrong else self._call(call, again)
            if isinstance(outcome, _End):
                return outcome
            again = False
            ends = call.name in self._turn.ending and not outcome.is_error
            text = outcome.text + (self._steps_left() if number == order[-1] and not ends else "")
            self._record(
                Record(
                    "result",
                    0,
                    call=number,
                    text=text,
                    is_error=outcome.is_error,
                    died=outcome.died,
                    ends=ends,
                    opened=outcome.opened,
                    command=outcome.command,
                )
            )
            self._emit("tool ran", turn=self._turn.key, step=self._state.steps, tool=call.name, error=outcome.is_error)
            end = self._ended()
            if end is not None:
                return end
        return None

    def _in_order(self, calls: Sequence[ToolCall]) -> list[int]:
        """The calls as they stand, but those that end the turn last."""
        return sorted(range(len(calls)), key=lambda number: calls[number].name in self._turn.ending)

    def _call(self, call: ToolCall, again: bool) -> Outcome | _End:
        if call.name not in self._turn.tools:
            return Outcome(f"there is no tool {call.name}; you have {', '.join(self._turn.tools)}", is_error=True)
        schema = TOOLS[call.name].schema
        if call.args is None:
            said = f"the arguments of {call.name} are no JSON object: {call.raw_args[:500]}"
            return Outcome(f"{said}\nthe schema is {json.dumps(schema)}", is_error=True)
        args, problems = checked(call.args, schema)
        if problems:
            said = f"{call.name} was not run: {'; '.join(problems)}"
            return Outcome(f"{said}\nthe schema is {json.dumps(schema)}", is_error=True)
        if call.name in self._turn.ending:
            return self._end_by(args)
        seconds = self._seconds_left()
        self._doing = f"while this ran: {call.name} {str(args.get('command') or args.get('path'))[:200]}"
        limit = output_limit(self._model())
        return wait_for(
            lambda: self._bench.run(call.name, args, seconds=seconds, limit=limit, again=again),
            lambda: self._late(GRACE),
        )

    def _end_by(self, args: Mapping[str, Any]) -> Outcome:
        """An ending tool: accepted, or an error that says why not. The other calls of the reply have run."""
        failed = [result.call.name for result in self._state.results.values() if result.is_error]
        if failed:
            return Outcome(f"not ended: {failed[0]}, called in the same reply, failed. Look at its result first", True)
        wrong = self._turn.check(args) if self._turn.check else None
        return Outcome(f"not accepted: {wrong}", is_error=True) if wrong else Outcome("accepted")

    def _steps_left(self) -> str:
        left = self._turn.max_steps - self._state.steps
        if left not in STEPS_TOLD:
            return ""
        return f"\n[{left} {'step' if left == 1 else 'steps'} left in this turn; end it with {self._turn.ending[0]}]"

    # The next reply

    def _ask(self) -> _End | None:
        state, link = self._state, self._chain[self._state.link]
        self._doing = f"waiting for {link.name}"
        metered: Metered | None = None
        try:
            model = self._model()
            cap = cap_for(state, model, self._shorten)
            if cap is None:
                return _End("context", _full(model))
            metered = Metered(model, link, self._ledger, self._turn.key, lambda: state.at_most_tokens)
            asked, history = metered, state.entries
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
                lambda: self._late(0.0),
            )
        except BudgetReached as reached:
            return _End("budget", str(reached))
        except Cancelled:
            return _End("cancelled", STOPPED)
        except ModelError as error:
            if error.kind == "context":
                return self._make_room(0)
            return self._switch(f"{link.name}: {error}", "provider")
        if isinstance(reply, _End):
            metered.abandon()
            return reply
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
            self._models[number] = self._chain[number].open()
        return self._models[number]

    # Time and the wish to stop

    def _over(self) -> _End | None:
        return self._late(0.0) or (
            _End("steps", f"{self._turn.max_steps} steps are used") if self._out_of_steps() else None
        )

    def _out_of_steps(self) -> bool:
        return self._state.steps >= self._turn.max_steps and self._state.last is None

    def _late(self, grace: float) -> _End | None:
        if self._cancelled():
            return _End("cancelled", STOPPED)
        if self._elapsed() > self._turn.timeout + grace:
            return _End("timeout", f"the turn took longer than {self._turn.timeout:.0f} s")
        if self._now() - self._heard > self._turn.idle_timeout:
            return _End("idle", f"no reply and no tool result for {self._turn.idle_timeout:.0f} s, {self._doing}")
        if self._ledger.time_left() == 0:
            return _End("budget", f"max-time is reached: the run has been going for {self._ledger.running():.0f} s")
        return None

    def _seconds_left(self) -> float:
        left = self._ledger.time_left()
        return min(self._turn.timeout - self._elapsed(), math.inf if left is None else left)

    def _elapsed(self) -> float:
        return self._before + self._now() - self._started - self._excused

    def _waits(self, seconds: float, why: str) -> None:
        """The vendor asked for patience: that is no time of the turn."""
        self._excused += seconds
        self._heard += seconds
        self._emit("model waits", turn=self._turn.key, seconds=seconds, why=why)

    def _record(self, record: Record) -> None:
        """On the disk first, then true."""
        told = Record(**{**vars(record), "at": self._elapsed()})
        self._records.append(told)
        self._state.take(told)
        self._heard = self._now()


def _full(model: Model) -> str:
    return f"the context window of {model.name} ({model.context_window} tokens) is full, old tool results cut down"
