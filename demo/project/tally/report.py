"""Text tables."""

from tally import money


def table(rows):
    """Lines of two columns, the second one an amount, aligned to the right."""
    rows = [(name, money.format_cents(cents)) for name, cents in rows]
    left = max((len(name) for name, _ in rows), default=0)
    right = max((len(amount) for _, amount in rows), default=0)
    return [f"{name.ljust(left)}  {amount.rjust(right)}" for name, amount in rows]


def payments(rows):
    """Lines that say who pays whom how much."""
    return [f"{debtor} pays {creditor} {money.format_cents(cents)}" for debtor, creditor, cents in rows]
