from tally import balance, journal


def expenses(*lines):
    return journal.read(lines)


def test_who_pays_for_others_is_owed_their_shares():
    assert balance.balances(expenses("2026-03-01 anna 9.00 anna,ben,cleo")) == {"anna": 600, "ben": -300, "cleo": -300}


def test_a_refund_counts_the_other_way_round():
    assert balance.balances(expenses("2026-03-01 anna -4.00 anna,ben")) == {"anna": -200, "ben": 200}


def test_nobody_owes_anything_for_their_own_expense():
    assert balance.balances(expenses("2026-03-01 anna 9.99 anna")) == {"anna": 0}


def test_settling_leaves_nobody_in_debt():
    owed = {"anna": 500, "ben": -200, "cleo": -300}
    assert balance.settle(owed) == [("cleo", "anna", 300), ("ben", "anna", 200)]
