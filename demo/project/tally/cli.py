"""The command: `python -m tally FILE [--settle]`."""

import argparse
import sys
from pathlib import Path

from tally import balance, journal, report


def main(arguments):
    parser = argparse.ArgumentParser(prog="tally", description="Shared expenses in a plain text file.")
    parser.add_argument("file", type=Path, help="the journal")
    parser.add_argument("--settle", action="store_true", help="print the payments that bring all balances to zero")
    options = parser.parse_args(arguments)
    try:
        expenses = journal.read(options.file.read_text(encoding="utf-8").splitlines())
    except (OSError, journal.BadLine) as error:
        print(f"tally: {options.file}: {error}", file=sys.stderr)
        return 1
    owed = balance.balances(expenses)
    lines = report.payments(balance.settle(owed)) if options.settle else report.table(owed.items())
    print("\n".join(lines))
    return 0
