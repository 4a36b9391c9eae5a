"""The text file: one expense per line, `DATE PAYER AMOUNT FOR[,FOR...] WHAT`."""

import datetime
from collections import namedtuple

from tally import money

Expense = namedtuple("Expense", "date payer cents people what")


class BadLine(ValueError):
    """A line that cannot be read; the text says which and why."""


def read(lines):
    """All expenses of a journal, in the order of the file. Blank lines and `#` comments are skipped."""
    expenses = []
    for number, line in enumerate(lines, start=1):
        text = line.split("#", 1)[0].strip()
        if text:
            try:
                expenses.append(parse_line(text))
            except ValueError as error:
                raise BadLine(f"line {number}: {error}") from error
    return expenses


def parse_line(text):
    """One expense from the text of a line."""
    parts = text.split(None, 4)
    if len(parts) < 4:
        raise ValueError("expected DATE PAYER AMOUNT FOR[,FOR...] WHAT")
    date, payer, amount, people = parts[:4]
    names = people.split(",")
    if len(set(names)) != len(names) or not all(names):
        raise ValueError(f"a name is missing or given twice: {people}")
    what = parts[4] if len(parts) == 5 else ""
    return Expense(datetime.date.fromisoformat(date), payer, money.parse(amount), tuple(names), what)
