"""What a turn has come to so far: folded from its records, so that a live turn and a resumed one cannot differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from runner.agent.outputs import entry_bytes, result_bytes, shortened
from runner.models.base import Entry, Reply, ToolResult
from runner.outcomes import TurnEnd

Kind = Literal["opening", "reply", "result", "note", "switch", "shortened", "end"]


@dataclass(frozen=True)
class Record:
    """One line of a transcript. Which fields are set follows from `kind`; `at` are seconds that the turn ran.

    opening: system, text · reply: reply · result: call (its place in the reply), text, is_error, what came of it,
    payload · note: text · switch: link, text · shortened: upto, keep · end: end, text, payload, final.
    """

    kind: Kind
    at: float
    text: str = ""
    system: str = ""
    reply: Reply | None = None
    call: int = 0
    is_error: bool = False
    died: bool = False  # the sandbox ended under this call
    ends: bool = False  # an ending tool whose arguments were accepted
    refused: bool = False  # a call that was not tried: no such tool, bad arguments, an ending that was not accepted
    opened: str = ""
    command: bool = False
    link: int = 0
    upto: int = 0
    keep: int = 0
    end: TurnEnd | None = None
    payload: Mapping[str, Any] | None = None
    final: bool = False  # nothing goes on after this end, also not on a resume


@dataclass
class Conversation:
    """The history as the model sees it, and what the loop has to know to go on."""

    overhead: int  # bytes of system text and tools, in every prompt
    system: str = ""
    entries: tuple[Entry, ...] = ()
    steps: int = 0
    unusable: int = 0  # replies in a row that asked for nothing that could be tried
    complaint: str = ""  # what was wrong with the last of them
    deaths: int = 0
    link: int = 0
    at: float = 0.0
    models: list[str] = field(default_factory=list)
    opened: list[str] = field(default_factory=list)
    commands: int = 0
    last: Reply | None = None  # a reply that still asks for something: results, a note, another model, room
    results: dict[int, ToolResult] = field(default_factory=dict)
    payload: Mapping[str, Any] | None = None
    ended: Record | None = None
    counted: int = 0  # tokens of prompt and reply at the last call that was counted
    since: int = 0  # bytes that came after it
    freed: int = 0  # bytes that shortening took away after it
    _refused: int = 0  # calls of the last reply that were not tried

    @property
    def at_most_tokens(self) -> int:
        """No prompt of this history has more tokens than this."""
        return self.counted + self.since

    @property
    def about_tokens(self) -> int:
        """What the next prompt will have, as near as one can know without its tokenizer."""
        return max(0, self.counted + self.since // 3 - self.freed // 4)

    def take(self, record: Record) -> None:
        """Go one record further."""
        self.at = max(self.at, record.at)
        match record.kind:
            case "opening":
                self.system = record.system
                self.overhead += len(record.system.encode("utf-8", "replace"))
                self.since = self.overhead
                self._add(Entry(user=record.text))
            case "reply" if record.reply is not None:
                self._take_reply(record.reply)
            case "result":
                self._take_result(record)
            case "note":
                self.last = None
                self._add(Entry(user=record.text))
            case "switch":
                self.last, self.link = None, record.link
                self._count_anew()
            case "shortened":
                self.last = None
                before = result_bytes(self.entries)
                self.entries = shortened(self.entries, record.upto, record.keep)
                self.freed += before - result_bytes(self.entries)
                if not self.counted:
                    self._count_anew()
            case "end" if record.final:
                self.ended = record
            case "end":
                self.link = 0
                self._count_anew()

    def _take_reply(self, reply: Reply) -> None:
        self.steps += 1
        self.last, self.results, self._refused = reply, {}, 0
        if reply.model not in self.models[-1:]:
            self.models.append(reply.model)
        if reply.stop in ("refusal", "context"):
            return  # it said nothing that another try should see
        self._count(fault(reply))
        if reply.text or reply.calls:
            self._add(Entry(reply=reply))
        if reply.usage is not None:
            self.counted, self.since, self.freed = reply.usage.prompt + reply.usage.output, 0, 0

    def _take_result(self, record: Record) -> None:
        if self.last is None:
            return
        self.results[record.call] = ToolResult(self.last.calls[record.call], record.text, record.is_error)
        self._refused += record.refused
        self.deaths += record.died
        self.commands += record.command
        if record.opened and record.opened not in self.opened:
            self.opened.append(record.opened)
        if record.ends:
            self.payload = record.payload or {}
        if len(self.results) == len(self.last.calls):
            if fault(self.last) is None and self._refused == len(self.results):
                self._count(record.text)
            elif fault(self.last) is None:
                self.unusable = 0
            self._add(Entry(results=tuple(self.results[n] for n in range(len(self.last.calls)))))
            self.last = None

    def _count(self, wrong: str | None) -> None:
        if wrong:
            self.unusable, self.complaint = self.unusable + 1, wrong

    def _add(self, entry: Entry) -> None:
        self.entries = (*self.entries, entry)
        self.since += entry_bytes(entry)

    def _count_anew(self) -> None:
        """Another model counts in other tokens, so only bytes are sure."""
        self.counted, self.freed = 0, 0
        self.since = self.overhead + sum(entry_bytes(entry) for entry in self.entries)


def conversation(records: Sequence[Record], overhead: int) -> Conversation:
    """The state after all records. `overhead` are the bytes of the tools' descriptions."""
    state = Conversation(overhead)
    for record in records:
        state.take(record)
    return state


def fault(reply: Reply) -> str | None:
    """What to tell a model whose reply asks for nothing that could be tried; None when it is usable."""
    if reply.stop == "length":
        return (
            "Your reply reached the output limit and was cut off, so nothing of it was run. "
            "Do less per reply: write long files in parts, and call one tool at a time."
        )
    if reply.stop == "truncated":
        return "Your reply was cut off before its end, so nothing of it was run. Send it again."
    if reply.stop == "bad_call":
        return f"Your tool call could not be read ({reply.stop_detail or 'malformed'}). Send it again as a tool call."
    if not reply.calls:
        return (
            "Your reply calls no tool, so nothing happened. Every reply must call at least one tool; "
            "when you have finished, call the tool that ends your turn."
        )
    if all(call.args is None for call in reply.calls):
        return "The arguments of your tool call are no JSON object. Send the call again with valid JSON."
    return None
