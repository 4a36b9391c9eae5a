"""Room in the context window: how long a reply may be, and which old tool results are cut down to make it fit."""

from __future__ import annotations

from collections.abc import Callable

from runner.agent.conversation import Conversation
from runner.agent.outputs import result_bytes, shortened
from runner.limits import LOWEST_CAP
from runner.models.base import Model

SOFT = 0.75  # of the window; above it old results are cut down once, so that prompt caches stay warm for long
STAGES = ((4, 600), (1, 600), (0, 2_000), (0, 300))  # (results kept whole at the end, bytes kept of the others)

Shorten = Callable[[int, int], None]


def output_limit(model: Model) -> int:
    """How many bytes of one tool result a model gets to see: less where its window is small."""
    return min(32_000, max(2_000, model.context_window // 4))


def cap_for(state: Conversation, model: Model, shorten: Shorten) -> int | None:
    """The output cap of the next call in tokens, after making room where it is short. None: the window is full.

    `shorten(upto, keep)` records that results are cut down, which changes `state`.
    """
    window = model.context_window
    least = min(LOWEST_CAP, model.max_output, window // 4)
    if state.about_tokens > SOFT * window:
        upto, keep = _stage(state, *STAGES[0])
        if _gain(state, upto, keep) > window // 4:
            shorten(upto, keep)
    while window - state.about_tokens < least:
        if not room_made(state, window - least, shorten):
            return None
    return min(model.max_output, window - state.about_tokens)


def room_made(state: Conversation, tokens: int, shorten: Shorten) -> bool:
    """Cut down old results until about `tokens` are left, or by one stage. False: nothing is left to cut."""
    made = False
    for stage in STAGES:
        upto, keep = _stage(state, *stage)
        if _gain(state, upto, keep) > 0:
            shorten(upto, keep)
            made = True
            if not tokens or state.about_tokens <= tokens:
                return True
    return made


def _stage(state: Conversation, whole: int, keep: int) -> tuple[int, int]:
    """Up to which entry results are cut down, when the last `whole` entries with results stay as they are."""
    places = [number for number, entry in enumerate(state.entries, start=1) if entry.results]
    return (places[-whole - 1] if len(places) > whole else 0), keep


def _gain(state: Conversation, upto: int, keep: int) -> int:
    return result_bytes(state.entries) - result_bytes(shortened(state.entries, upto, keep))
