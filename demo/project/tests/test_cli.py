from pathlib import Path

from tally.cli import main

DATA = Path(__file__).parent / "data"


def test_the_balances_are_printed_as_a_table(capsys, tmp_path):
    (tmp_path / "j.txt").write_text("2026-03-01 anna 9.00 anna,ben,cleo\n")
    assert main([str(tmp_path / "j.txt")]) == 0
    assert capsys.readouterr().out == "anna   6.00\nben   -3.00\ncleo  -3.00\n"


def test_the_payments_are_printed_on_demand(capsys, tmp_path):
    (tmp_path / "j.txt").write_text("2026-03-01 anna 9.00 anna,ben\n")
    assert main([str(tmp_path / "j.txt"), "--settle"]) == 0
    assert capsys.readouterr().out == "ben pays anna 4.50\n"


def test_a_journal_that_cannot_be_read_is_told(capsys, tmp_path):
    assert main([str(tmp_path / "none.txt")]) == 1
    assert "none.txt" in capsys.readouterr().err
