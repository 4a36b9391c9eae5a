import datetime
from pathlib import Path

import pytest

from tally import journal

DATA = Path(__file__).parent / "data"


def test_a_line_holds_date_payer_amount_people_and_a_description():
    expense = journal.parse_line("2026-03-01 anna 42.50 anna,ben weekly groceries")
    assert expense == (datetime.date(2026, 3, 1), "anna", 4250, ("anna", "ben"), "weekly groceries")


def test_blank_lines_and_comments_are_skipped():
    assert len(journal.read(["", "# nothing", "2026-03-01 anna 1 anna  # a note"])) == 1


@pytest.mark.parametrize("line", ["2026-03-01 anna", "2026-13-01 anna 1 anna", "2026-03-01 anna x anna", "2026-03-01 anna 1 anna,anna"])
def test_a_bad_line_is_named_by_its_number(line):
    with pytest.raises(journal.BadLine, match="^line 2: "):
        journal.read(["# first", line])


def test_the_sample_journal_is_read_whole():
    expenses = journal.read((DATA / "spring.txt").read_text(encoding="utf-8").splitlines())
    assert [expense.cents for expense in expenses] == [4250, 12000, -800, 999, 3600]
