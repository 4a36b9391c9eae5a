"""What a server says, made fit to be kept, sent back and shown to commands: no half characters, no key, no odd JSON."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from runner.models.base import Entry, Model, ModelError, Place, Reply, Tool

SHORTEST_KEY = 8  # characters; a shorter one is the placeholder of a local server, and an ordinary word
DEEPEST = 100  # levels of JSON; what walks through a value later has a stack of its own
MOST_TOKENS = 2**40  # of one call
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Clean:
    """A model whose replies hold neither half of a surrogate pair nor its own key, in `wire` neither.

    A pair that was cut in two by the pieces of a stream is whole again. A key said back becomes `***`: it would go on
    into files, commands, commits and the container.
    """

    model: Model
    key: str | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        return self.model.name

    @property
    def context_window(self) -> int:
        return self.model.context_window

    @property
    def max_output(self) -> int:
        return self.model.max_output

    def ask(
        self, system: str, history: Sequence[Entry], tools: Sequence[Tool], *, max_tokens: int, place: Place
    ) -> Reply:
        """One attempt of the model within."""
        reply = self.model.ask(system, history, tools, max_tokens=max_tokens, place=place)
        said = {name: value for name, value in vars(reply).items() if name not in ("calls", "usage", "model")}
        calls = tuple(replace(call, **self._clean(vars(call))) for call in reply.calls)
        return self._sound(replace(reply, calls=calls, **self._clean(said)))

    def _sound(self, reply: Reply) -> Reply:
        """The reply, if its texts are texts. Counts that cannot be are unknown, so that they book the whole reserve."""
        texts = [reply.text, reply.thinking, reply.stop_detail]
        texts += [text for call in reply.calls for text in (call.id, call.name, call.raw_args)]
        if not all(isinstance(text, str) for text in texts):
            said = "the server answered with a reply that holds something else where text belongs: check `base-url`"
            raise ModelError("server", f"{self.name}: {said}", status=200)
        request_id = reply.request_id if isinstance(reply.request_id, str) else None
        counts = vars(reply.usage).values() if reply.usage is not None else ()
        is_counted = all(0 <= count < MOST_TOKENS for count in counts)
        return replace(reply, request_id=request_id, usage=reply.usage if is_counted else None)

    def _clean(self, value: Any) -> Any:
        if isinstance(value, str):
            whole = mended(value)
            return whole.replace(self.key, "***") if self.key else whole
        if isinstance(value, dict):
            return {self._clean(name): self._clean(item) for name, item in value.items()}
        return [self._clean(item) for item in value] if isinstance(value, list) else value


def clean(model: Model, key: str | None) -> Clean:
    """The model, saying only what is fit to go on."""
    return Clean(model, key if key and len(key) >= SHORTEST_KEY else None)


def mended(text: str) -> str:
    """`text` with surrogate pairs joined, and halves of one replaced by U+FFFD."""
    if _SURROGATE.search(text) is None:
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def decoded(text: str) -> Any:
    """The value of a JSON text, as every other reader of JSON would have it.

    Raises ValueError for no JSON, and for what could not be sent back: NaN and infinities, numbers beyond 64 bits, more
    than a hundred levels.
    """
    try:
        value = json.loads(text, parse_constant=_no_number, parse_float=_float, parse_int=_int)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if text.count("[") + text.count("{") > DEEPEST:
        _check_depth(value)
    return value


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(DEEPEST):
        level = [
            inner
            for each in level
            if isinstance(each, dict | list)
            for inner in (each.values() if isinstance(each, dict) else each)
        ]
    if level:
        raise ValueError(f"nested more than {DEEPEST} levels deep")


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no number of JSON")


def _float(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _no_number(text[:20])


def _int(text: str) -> int:
    return int(text) if len(text) <= 19 and abs(int(text)) < 2**63 else _no_number(text[:20])
