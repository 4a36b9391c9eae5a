import pytest

from tally import money


@pytest.mark.parametrize("text, cents", [("12", 1200), ("12.5", 1250), ("0.07", 7), ("-8.00", -800), (" 3.10 ", 310)])
def test_an_amount_is_read_as_cents(text, cents):
    assert money.parse(text) == cents


@pytest.mark.parametrize("text", ["", "12.", "1,50", "1.234", "EUR 5", "--1"])
def test_a_text_that_is_no_amount_is_refused(text):
    with pytest.raises(money.BadAmount):
        money.parse(text)


@pytest.mark.parametrize("cents", [0, 7, -7, 100, -101, 123456])
def test_writing_is_the_reverse_of_reading(cents):
    assert money.parse(money.format_cents(cents)) == cents


def test_an_even_amount_is_split_evenly():
    assert money.split(900, 3) == [300, 300, 300]


@pytest.mark.parametrize("people", [1, 2, 3, 7])
@pytest.mark.parametrize("cents", [0, 1, 100, 1000, -1000])
def test_shares_never_differ_by_more_than_a_cent(cents, people):
    shares = money.split(cents, people)
    assert len(shares) == people
    assert max(shares) - min(shares) <= 1


def test_an_amount_cannot_be_split_among_nobody():
    with pytest.raises(ValueError):
        money.split(100, 0)
