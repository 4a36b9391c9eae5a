"""The contract of a model: history in, one reply out. The vendor's own JSON rides along as `wire`, never interpreted.

The agent loop sees only `text`, `calls`, `stop` and `usage`. `wire` is replayed verbatim to the same vendor and model;
to any other, the entry is rendered as text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

Stop = Literal["end", "tools", "length", "context", "refusal", "bad_call", "truncated", "other"]
ErrorKind = Literal["rate", "overload", "server", "network", "quota", "auth", "context", "request", "unknown_model"]


@dataclass(frozen=True)
class ToolCall:
    """A call that a model asks for. `args` is None when it sent text that is no JSON object."""

    id: str
    name: str
    args: dict[str, Any] | None
    raw_args: str = ""


@dataclass(frozen=True)
class ToolResult:
    """What came of a call, as the model reads it."""

    call: ToolCall
    text: str
    is_error: bool = False


@dataclass(frozen=True)
class Usage:
    """Token counts that do not overlap, so that they add up and price alike for every vendor.

    `output` includes thinking; `reasoning` says how much of it was thinking, for people.
    """

    fresh: int = 0
    cache_read: int = 0
    cache_write: int = 0
    cache_write_1h: int = 0
    output: int = 0
    reasoning: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.fresh + other.fresh,
            self.cache_read + other.cache_read,
            self.cache_write + other.cache_write,
            self.cache_write_1h + other.cache_write_1h,
            self.output + other.output,
            self.reasoning + other.reasoning,
        )

    @property
    def prompt(self) -> int:
        """All tokens that went in."""
        return self.fresh + self.cache_read + self.cache_write + self.cache_write_1h

    @property
    def total(self) -> int:
        """All tokens, in and out."""
        return self.prompt + self.output


@dataclass(frozen=True)
class Reply:
    """One answer. `model` is relay's name `vendor/name`; `usage` None: the vendor did not say."""

    text: str
    calls: tuple[ToolCall, ...]
    stop: Stop
    stop_detail: str
    usage: Usage | None
    wire: Any
    model: str
    request_id: str | None = None
    thinking: str = ""


@dataclass(frozen=True)
class Entry:
    """One entry of a history: text in, tool results in, or a reply out. Exactly one is set."""

    user: str | None = None
    results: tuple[ToolResult, ...] = ()
    reply: Reply | None = None


@dataclass(frozen=True)
class Tool:
    """A tool as the model sees it; `schema` is the JSON Schema of its arguments."""

    name: str
    description: str
    schema: Mapping[str, Any]


@dataclass(frozen=True)
class Place:
    """Where in a run a call stands. Only the `scripted` vendor looks at it."""

    role: str
    task: str | None = None
    change: str | None = None
    round: int | None = None


class ModelError(Exception):
    """A call failed. `kind` decides what to do; the text is safe to show: no key, no header is in it.

    `reached` False: the request never left this machine (no connection), so it cannot have cost anything.
    """

    def __init__(
        self,
        kind: ErrorKind,
        message: str,
        *,
        retry_after: float | None = None,
        status: int | None = None,
        request_id: str | None = None,
        reached: bool = True,
    ) -> None:
        super().__init__(message)
        self.reached = reached
        self.kind, self.retry_after, self.status, self.request_id = kind, retry_after, status, request_id

    @property
    def retryable(self) -> bool:
        """Whether the same call may succeed a little later."""
        return self.kind in ("rate", "overload", "server", "network")


class Model(Protocol):
    """One model behind one vendor's wire. `ask` makes exactly one attempt; `retry.py` decides on more."""

    @property
    def name(self) -> str:
        """relay's name, `vendor/name`."""
        ...

    @property
    def context_window(self) -> int:
        """Tokens that prompt and reply together may have."""
        ...

    @property
    def max_output(self) -> int:
        """The output cap that relay asks for when nothing lowers it, thinking included."""
        ...

    def ask(
        self, system: str, history: Sequence[Entry], tools: Sequence[Tool], *, max_tokens: int, place: Place
    ) -> Reply:
        """One request, streamed inside. Raises ModelError, and nothing else for what the vendor does.

        A stream that ends without a stop reason is ModelError("network"). `on_progress`, when the model was opened
        with one, is called for each piece that arrives; what it raises passes through and ends the stream.
        """
        ...


@dataclass(frozen=True)
class ModelSpec:
    """What opening a model needs. `key` is the secret itself and is never shown."""

    model: str
    key: str | None = field(default=None, repr=False)
    base_url: str | None = None
    effort: str | None = None
    context_window: int | None = None
    max_output: int | None = None
    script: Sequence[Any] = ()
    on_progress: Callable[[], None] | None = None
    connect_timeout: float = 15.0  # seconds
    read_timeout: float = 600.0  # seconds without a byte; a model may think that long before its first
    largest_answer: int = 256 * 1024**2  # bytes of one HTTP answer; a server that never ends is left there
