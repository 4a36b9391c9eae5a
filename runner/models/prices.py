"""What a call costs: the shipped list of genai-prices, with the user's own prices on top. Never goes online.

Unknown is None, never 0. Money is USD.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Protocol

import genai_prices
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ModelInfo, ModelPrice, TieredPrices

from runner.models.base import Usage

MILLION = 1_000_000
# Vendors whose list prices hold. A server behind `openai-compatible` may ask for anything.
_LISTED = ("anthropic", "google", "openai")


class PriceLike(Protocol):
    """USD per million tokens. A cache rate that is None counts as `input`."""

    @property
    def input(self) -> Decimal: ...
    @property
    def output(self) -> Decimal: ...
    @property
    def cache_read(self) -> Decimal | None: ...
    @property
    def cache_write(self) -> Decimal | None: ...


@dataclass(frozen=True)
class Rates:
    """USD per token, at the dearest: long-context tiers, and for input the writing of the cache, included."""

    dearest_input: Decimal
    output: Decimal


def cost(
    model: str, usage: Usage, overrides: Mapping[str, PriceLike] | None = None, *, when: datetime | None = None
) -> Decimal | None:
    """USD for one call of `vendor/name`, or None where the price is unknown.

    `usage` must be that of one call: long-context tiers depend on the size of a single prompt. `when`: the time of
    the call, for prices that change (now).
    """
    own = (overrides or {}).get(model)
    if own is not None:
        read = own.input if own.cache_read is None else own.cache_read
        write = own.input if own.cache_write is None else own.cache_write
        total = own.input * usage.fresh + read * usage.cache_read
        total += write * (usage.cache_write + usage.cache_write_1h) + own.output * usage.output
        return total / MILLION
    if model.startswith("scripted/"):
        return Decimal(0)
    listed = _listed(model)
    if listed is None:
        return None
    counts = genai_prices.Usage(
        input_tokens=usage.prompt,
        output_tokens=usage.output,
        cache_read_tokens=usage.cache_read,
        cache_write_tokens=usage.cache_write + usage.cache_write_1h,
        cache_write_1h_tokens=usage.cache_write_1h,
    )
    return Decimal(_price(listed, when).calc_price(counts)["total_price"])


def rates(
    model: str, overrides: Mapping[str, PriceLike] | None = None, *, when: datetime | None = None
) -> Rates | None:
    """The dearest rates a call of `vendor/name` can meet, for reserving before it; None where unknown."""
    own = (overrides or {}).get(model)
    if own is not None:
        dearest = max(own.input, own.cache_read or own.input, own.cache_write or own.input)
        return Rates(dearest / MILLION, own.output / MILLION)
    if model.startswith("scripted/"):
        return Rates(Decimal(0), Decimal(0))
    listed = _listed(model)
    if listed is None:
        return None
    price = _price(listed, when)
    inputs = [_dearest(price.input_mtok), _dearest(price.cache_read_mtok), _dearest(price.cache_write_mtok)]
    output = _dearest(price.output_mtok)
    known = [rate for rate in inputs if rate is not None]
    return Rates(max(known) / MILLION, output / MILLION) if known and output is not None else None


def is_known(model: str, overrides: Mapping[str, PriceLike] | None = None) -> bool:
    """Whether `cost` has an answer for the model."""
    return rates(model, overrides) is not None


def listed_window(model: str) -> int | None:
    """The context window that the price list names for the model, in tokens."""
    listed = _listed(model)
    return listed.context_window if listed else None


def _listed(model: str) -> ModelInfo | None:
    vendor, _, name = model.partition("/")
    if vendor not in _LISTED:
        return None
    try:
        return get_snapshot().find_provider_model(name, None, vendor, None)[1]
    except LookupError:
        return None


def _price(listed: ModelInfo, when: datetime | None) -> ModelPrice:
    return listed.get_prices(when or datetime.now(UTC))


def _dearest(price: Decimal | TieredPrices | None) -> Decimal | None:
    if isinstance(price, TieredPrices):
        return max([price.base, *(tier.price for tier in price.tiers)])
    return price
