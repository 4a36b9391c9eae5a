"""The budget's arithmetic: what is spent and what is reserved never exceed the limit."""

from dataclasses import dataclass
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from runner.limits import LOWEST_CAP, Amount, Booking, Limit, lower_cap, reserve, spent, time_left


@dataclass(frozen=True)
class Rates:
    dearest_input: Decimal
    output: Decimal


RATE = st.decimals(0, Decimal("0.001"), places=8)
RATES = st.builds(Rates, RATE, RATE)
LIMIT = st.builds(
    Limit,
    st.none() | st.decimals(0, 50, places=4),
    st.none() | st.integers(0, 2_000_000),
)
# A call: its prompt, the cap that is asked for, which part of its reserve it will use, and whether that gets known.
CALLS = st.lists(
    st.tuples(st.integers(1, 200_000), st.integers(1, 64_000), st.integers(0, 100), st.booleans()), max_size=30
)


@given(LIMIT, RATES, CALLS)
def test_spent_and_open_reserves_never_exceed_the_limit(
    limit: Limit, rates: Rates, calls: list[tuple[int, int, int, bool]]
) -> None:
    """Whatever calls are tried, with whatever usage, known or not."""
    bookings: list[Booking] = []
    for prompt, cap, percent, is_known in calls:
        fitting = lower_cap(prompt, cap, rates, limit, spent(bookings).amount)
        if fitting is None:
            continue
        assert min(LOWEST_CAP, cap) <= fitting <= cap
        reserved = reserve(prompt, fitting, rates)
        bookings.append(Booking(reserved))
        _assert_within(bookings, limit)
        used = Amount(reserved.tokens * percent // 100, (reserved.cost or Decimal(0)) * percent / 100)
        if is_known:
            bookings[-1] = Booking(reserved, used)
        _assert_within(bookings, limit)
    assert spent(bookings).at_most == any(booking.settled is None for booking in bookings)


def _assert_within(bookings: list[Booking], limit: Limit) -> None:
    amount = spent(bookings).amount
    assert amount.cost is not None
    assert limit.max_tokens is None or amount.tokens <= limit.max_tokens
    assert limit.max_cost is None or amount.cost <= limit.max_cost


@given(RATES, st.integers(1, 200_000), st.integers(1, 64_000))
def test_without_a_limit_the_cap_stays(rates: Rates, prompt: int, cap: int) -> None:
    """Nothing is lowered that nobody limited."""
    assert lower_cap(prompt, cap, rates, Limit(), Amount()) == cap
    assert lower_cap(prompt, cap, None, Limit(), Amount(0, None)) == cap


@given(st.integers(1, 100_000), st.integers(4_000, 64_000), st.integers(0, 200_000))
def test_the_cap_is_the_largest_that_fits(prompt: int, cap: int, limit: int) -> None:
    """One token more would not fit."""
    fitting = lower_cap(prompt, cap, None, Limit(max_tokens=limit), Amount())
    if fitting is None:
        assert prompt + LOWEST_CAP > limit
    else:
        assert fitting == cap or prompt + fitting == limit


def test_an_unknown_price_does_not_fit_a_money_limit() -> None:
    """Nobody can say that it fits, so it does not; without a money limit it does."""
    money = Limit(max_cost=Decimal(10))
    assert lower_cap(10, 8_000, None, money, Amount()) is None
    assert lower_cap(10, 8_000, Rates(Decimal(0), Decimal(0)), money, Amount(5, None)) is None
    assert lower_cap(10, 8_000, None, Limit(max_tokens=100_000), Amount()) == 8_000


def test_a_free_model_fits_a_budget_of_nothing() -> None:
    """`scripted` costs a known 0."""
    free = Rates(Decimal(0), Decimal(0))
    assert lower_cap(10**6, 32_000, free, Limit(max_cost=Decimal(0)), Amount()) == 32_000


def test_an_unknown_cost_makes_the_sum_unknown_and_never_less() -> None:
    """Unknown is said as unknown."""
    total = spent([Booking(Amount(10, None)), Booking(Amount(5, Decimal(1)), Amount(3, Decimal(1)))])
    assert (total.amount, total.at_most) == (Amount(13, None), True)


def test_time_runs_out_and_not_below_nothing() -> None:
    """`max-time` is of the run, over all its sessions."""
    assert time_left(Limit(), 100) is None
    assert time_left(Limit(max_time=100), 30) == 70
    assert time_left(Limit(max_time=100), 130) == 0
