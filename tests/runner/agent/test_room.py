"""The context window: old results are cut down before it is full, and a full one ends the turn."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from runner.models.base import Entry, ModelError, Place, Reply, Tool, Usage
from tests.runner.agent.play import DONE, Player, Table, says


@dataclass
class Window(Player):
    """A model that counts what it is given, three bytes a token, and refuses what is more than its window."""

    prompts: list[int] = field(default_factory=list)
    tells_usage: bool = True

    def ask(
        self, system: str, history: Sequence[Entry], tools: Sequence[Tool], *, max_tokens: int, place: Place
    ) -> Reply:
        tokens = (len(system) + sum(len(tool.description) + len(str(tool.schema)) for tool in tools)) // 3
        for entry in history:
            tokens += len((entry.user or "").encode()) // 3 + sum(
                len(each.text.encode()) // 3 for each in entry.results
            )
            if entry.reply is not None:
                tokens += (len(entry.reply.text.encode()) + len(str(entry.reply.calls))) // 3
        if tokens + max_tokens > self.context_window:
            raise ModelError("context", f"{tokens} + {max_tokens} tokens are too many", status=400)
        self.prompts.append(tokens)
        reply = super().ask(system, history, tools, max_tokens=max_tokens, place=place)
        usage = Usage(fresh=tokens, output=50) if self.tells_usage else None
        return Reply(**{**vars(reply), "usage": usage})


NOISE: tuple[str, dict[str, Any]] = ("bash", {"command": "head -c 9000 /dev/zero | tr '\\0' x; echo end"})


@pytest.mark.parametrize("tells_usage", [True, False])
def test_old_results_are_cut_down_so_that_a_long_turn_fits(tmp_path: Path, tells_usage: bool) -> None:
    """Forty large results go through a window that holds six of them."""
    model = Window([says(NOISE)] * 40 + [says(DONE)], context_window=24_000, max_output=4_000, tells_usage=tells_usage)
    table = Table(tmp_path, [model])
    result = table.play()
    assert (result.end, result.steps) == ("done", 41)
    assert max(model.prompts) <= 20_000
    texts = [each.text for entry in model.seen[-1] for each in entry.results]
    assert "shortened to save room" in texts[0]
    assert "bytes left out" in texts[0]
    assert texts[-1].count("x") > 5000


def test_a_history_is_not_cut_down_at_every_step(tmp_path: Path) -> None:
    """Each cut throws a vendor's cached prompt away, so there are few of them."""
    model = Window([says(NOISE)] * 40 + [says(DONE)], context_window=60_000, max_output=4_000)
    Table(tmp_path, [model]).play()
    changed = sum(new[: len(old)] != old for old, new in zip(model.seen, model.seen[1:], strict=False))
    assert 1 <= changed <= 6


def test_a_window_that_is_really_full_ends_the_turn(tmp_path: Path) -> None:
    """What a model itself says and writes cannot be cut down: at last nothing fits any more."""
    long = says(("write", {"path": "a", "content": "y" * 6_000}), text="z" * 6_000)
    model = Window([long], context_window=24_000, max_output=4_000)
    table = Table(tmp_path, [model])
    result = table.play()
    assert result.end == "context"
    assert "test/one (24000 tokens) is full" in result.detail
    assert max(model.prompts) > 15_000
    assert (table.work / "a").exists()
    assert table.play().end == "context"  # and it stays so
    assert len(model.prompts) == result.steps


def test_a_vendor_that_counts_more_than_was_thought_is_believed(tmp_path: Path) -> None:
    """Its error cuts old results down, and only when there is nothing to cut the turn ends."""
    full = ModelError("context", "prompt is too long", status=400)
    answers = [says(NOISE), says(NOISE), says(NOISE)]
    patience = [2]

    def picky() -> Reply:
        patience[0] -= 1
        if patience[0] >= 0:
            raise full
        return says(DONE)

    model = Player([*answers, picky])
    table = Table(tmp_path, [model])
    assert table.play().end == "done"
    assert len(model.seen) == 6
    never = Table(tmp_path / "never", [Player([*answers, full])])
    never.path.mkdir()
    assert never.play().end == "context"


def test_a_reply_that_ran_into_the_window_is_tried_again_with_more_room(tmp_path: Path) -> None:
    """A reply that stopped at the window says nothing that can be used."""
    answers: list[Any] = [says(NOISE), says(NOISE)]
    stops = [says(stop="context"), says(DONE)]
    model = Player([*answers, lambda: stops.pop(0)])
    result = Table(tmp_path, [model]).play()
    assert (result.end, result.steps) == ("done", 4)


def test_an_opening_that_does_not_fit_ends_the_turn_without_a_call(tmp_path: Path) -> None:
    """Nothing is asked that cannot be answered."""
    model = Window([says(DONE)], context_window=500, max_output=200)
    assert Table(tmp_path, [model]).play().end == "context"
    assert model.prompts == []


def test_a_small_window_gets_small_results(tmp_path: Path) -> None:
    """A model of 32k tokens is not shown 32 kB of one command."""
    small = Player([says(NOISE), says(DONE)], context_window=32_000)
    large = Player([says(NOISE), says(DONE)], context_window=200_000)
    Table(tmp_path, [small]).play()
    big = Table(tmp_path / "large", [large])
    big.path.mkdir()
    big.play()
    shown = [player.seen[-1][-1].results[0].text for player in (small, large)]
    assert len(shown[0]) < 8_200 < len(shown[1])
    assert "[... " in shown[0] and shown[0].endswith("end\n[exit status 0]")
