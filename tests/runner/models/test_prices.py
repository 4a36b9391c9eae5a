"""Money: unknown is None, the user's prices win, tiers and cache rates count."""

import socket
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.pipeline import Price
from runner.models.base import Usage
from runner.models.prices import cost, is_known, rates

WHEN = datetime(2026, 11, 24, tzinfo=UTC)
COUNTS = st.integers(0, 2_000_000)
USAGES = st.builds(Usage, COUNTS, COUNTS, COUNTS, st.just(0), COUNTS)


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("prices went online")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.mark.parametrize(
    ("model", "usage", "dollars"),
    [
        ("anthropic/claude-sonnet-5-5", Usage(fresh=1_000_000), "2"),
        ("anthropic/claude-sonnet-5-5", Usage(cache_read=1_000_000), "0.1"),
        ("anthropic/claude-sonnet-5-5", Usage(cache_write=1_000_000), "2.5"),
        ("anthropic/claude-sonnet-5-5", Usage(cache_write_1h=1_000_000), "4"),
        ("anthropic/claude-sonnet-5-5", Usage(output=1_000_000, reasoning=900_000), "10"),
        ("openai/gpt-6-sol", Usage(fresh=100_000, cache_read=100_000), "0.22"),
        ("openai/gpt-6-sol", Usage(fresh=1_000_000), "4"),  # beyond 272k the dearer tier holds for the whole prompt
        ("google/gemini-3.5-flash", Usage(fresh=10, output=1_000_000), "9.000015"),
        ("scripted/demo", Usage(fresh=5), "0"),
    ],
)
def test_a_call_costs_what_the_price_list_says(model: str, usage: Usage, dollars: str) -> None:
    """Each kind of token is billed once, at its own rate."""
    assert cost(model, usage, when=WHEN) == Decimal(dollars)


@pytest.mark.parametrize("model", ["openai/gpt-99", "google/gemini-3-pro", "openai-compatible/gpt-6-sol", "nobody/x"])
def test_an_unknown_price_is_none_and_never_zero(model: str) -> None:
    """A foreign server may ask for anything, whatever its model is called."""
    assert (cost(model, Usage(fresh=1)), rates(model), is_known(model)) == (None, None, False)


def test_the_users_price_wins_and_missing_cache_rates_count_as_input() -> None:
    """`prices:` of the pipeline."""
    table = {
        "anthropic/claude-sonnet-5-5": Price(Decimal(1), Decimal(3)),
        "openai-compatible/x": Price(Decimal(0), Decimal(0)),
    }
    usage = Usage(fresh=1_000_000, cache_read=1_000_000, cache_write=1_000_000, output=1_000_000)
    assert cost("anthropic/claude-sonnet-5-5", usage, table) == Decimal(6)
    assert cost("openai-compatible/x", usage, table) == 0 and is_known("openai-compatible/x", table)


def test_a_reservation_uses_the_dearest_tier_and_the_writing_of_the_cache() -> None:
    """The dearest input of gpt-6-sol is a cache write in a long prompt: 5 USD per million."""
    found = rates("openai/gpt-6-sol", when=WHEN)
    assert found is not None and found.dearest_input == Decimal(5) / 1_000_000


@given(st.sampled_from(["anthropic/claude-opus-5-5", "openai/gpt-6-sol", "google/gemini-2.5-pro"]), USAGES)
def test_no_call_costs_more_than_its_reservation(model: str, usage: Usage) -> None:
    """What is reserved before a call is never less than what it turns out to cost."""
    found, spent = rates(model, when=WHEN), cost(model, usage, when=WHEN)
    assert found is not None and spent is not None
    assert spent <= found.dearest_input * usage.prompt + found.output * usage.output
