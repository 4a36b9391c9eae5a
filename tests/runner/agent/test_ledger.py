"""The ledger: on the disk before the call, the truth after a kill."""

import threading
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from runner.agent.ledger import BudgetReached, Ledger
from runner.agent.lines import LinesError
from runner.limits import Amount, Limit
from runner.models.base import Usage
from runner.models.prices import Rates

RATES = Rates(Decimal("0.00001"), Decimal("0.00001"))


def clock(times: list[float]) -> Callable[[], float]:
    return lambda: times[0]


def test_a_reservation_is_on_the_disk_when_it_returns(tmp_path: Path) -> None:
    """Another reader finds the reserve of a call that is under way."""
    path = tmp_path / "run" / "ledger.jsonl"
    with Ledger(path, Limit(), lambda: 0.0) as ledger:
        ledger.reserve("t1.plan", "m", 1000, 5000, RATES)
        assert b'"reserve"' in path.read_bytes()
        assert path.stat().st_mode & 0o777 == 0o600
    with Ledger(path, Limit(), lambda: 0.0) as again:
        account = again.account()
        assert (account.spent.amount, account.spent.at_most) == (Amount(6000, Decimal("0.06")), True)


def test_a_settled_call_counts_what_it_used_once(tmp_path: Path) -> None:
    """Opening the ledger again neither loses nor doubles anything."""
    path = tmp_path / "ledger.jsonl"
    for turn in ("t1.plan", "t1-1.r1.implement"):
        with Ledger(path, Limit(), lambda: 0.0) as ledger:
            ticket = ledger.reserve(turn, "m", 1000, 5000, RATES)
            ledger.settle(ticket.call, Usage(fresh=900, output=100), Decimal("0.01"))
    with Ledger(path, Limit(), lambda: 0.0) as ledger:
        assert ledger.account().spent.amount == Amount(2000, Decimal("0.02"))
        assert ledger.account("t1.plan").spent.amount == Amount(1000, Decimal("0.01"))
        assert ledger.account().usage == {"m": Usage(fresh=1800, output=200)}
        assert not ledger.account().spent.at_most


def test_a_resume_does_not_reset_what_was_spent(tmp_path: Path) -> None:
    """The limit is the run's and not the session's; an open reserve stays booked."""
    path, limit = tmp_path / "ledger.jsonl", Limit(max_tokens=10_000)
    with Ledger(path, limit, lambda: 0.0) as ledger:
        ledger.reserve("t", "m", 2000, 4000, None)
    with Ledger(path, limit, lambda: 0.0) as ledger, pytest.raises(BudgetReached, match="6000 tokens"):
        ledger.reserve("t", "m", 2000, 4000, None)


def test_a_line_that_a_kill_cut_off_is_forgotten(tmp_path: Path) -> None:
    """The call that was being reserved was not made yet."""
    path = tmp_path / "ledger.jsonl"
    with Ledger(path, Limit(), lambda: 0.0) as ledger:
        ledger.reserve("t", "m", 1, 4000, None)
        ledger.reserve("t", "m", 1, 4000, None)
    path.write_bytes(path.read_bytes()[:-7])
    with Ledger(path, Limit(), lambda: 0.0) as ledger:
        assert ledger.account().spent.amount.tokens == 4001
        assert ledger.reserve("t", "m", 1, 4000, None).call == "t#2"


def test_a_ledger_that_somebody_changed_is_not_believed(tmp_path: Path) -> None:
    """Money is not counted from a broken file."""
    path = tmp_path / "ledger.jsonl"
    path.write_bytes(b'oops\n{"event":"tick","session":1,"at":1}\n')
    with pytest.raises(LinesError, match=r"ledger\.jsonl:1.*start a new run"):
        Ledger(path, Limit(), lambda: 0.0)


def test_the_time_of_all_sessions_adds_up(tmp_path: Path) -> None:
    """What lies between two sessions does not count."""
    path, limit, times = tmp_path / "ledger.jsonl", Limit(max_time=100), [0.0]
    with Ledger(path, limit, clock(times)) as ledger:
        times[0] = 60
        ledger.tick()
    times[0] = 10_000
    with Ledger(path, limit, clock(times)) as ledger:
        assert ledger.time_left() == 40
        times[0] += 45
        assert (ledger.running(), ledger.time_left()) == (105, 0)
        with pytest.raises(BudgetReached, match="max-time"):
            ledger.reserve("t", "m", 1, 1, None)


def test_turns_at_the_same_time_share_one_limit(tmp_path: Path) -> None:
    """Many threads that reserve at once do not get more than there is."""
    given: list[int] = []
    with Ledger(tmp_path / "ledger.jsonl", Limit(max_tokens=50_000), lambda: 0.0) as ledger:

        def spend(turn: str) -> None:
            for _ in range(5):
                try:
                    given.append(1000 + ledger.reserve(turn, "m", 1000, 8000, None).cap)
                except BudgetReached:
                    return

        threads = [threading.Thread(target=spend, args=(f"t{n}",)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(given) == ledger.account().spent.amount.tokens <= 50_000
        assert len(given) >= 5


def test_an_unknown_price_is_named_with_what_to_do(tmp_path: Path) -> None:
    """A money limit and an unknown price do not go together."""
    with (
        Ledger(tmp_path / "ledger.jsonl", Limit(max_cost=Decimal(1)), lambda: 0.0) as ledger,
        pytest.raises(BudgetReached, match=r"price of a/b is unknown.*prices:"),
    ):
        ledger.reserve("t", "a/b", 1, 1, None)


def test_a_reply_after_the_end_leaves_its_call_at_its_reserve(tmp_path: Path) -> None:
    """A call nobody waits for may still come back when the run is over."""
    ledger = Ledger(tmp_path / "ledger.jsonl", Limit(), lambda: 0.0)
    call = ledger.reserve("t", "m", 1, 4000, None).call
    ledger.close()
    ledger.settle(call, Usage(output=1), None)
    assert ledger.account().spent.at_most
