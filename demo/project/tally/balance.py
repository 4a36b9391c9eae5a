"""Who has paid more than their share, and the payments that even it out."""

from tally import money


def balances(expenses):
    """What each person is owed (positive) or owes (negative), in cents, by name."""
    result = {}
    for expense in expenses:
        result[expense.payer] = result.get(expense.payer, 0) + expense.cents
        for person, share in zip(expense.people, money.split(expense.cents, len(expense.people))):
            result[person] = result.get(person, 0) - share
    return dict(sorted(result.items()))


def settle(owed):
    """Payments `(from, to, cents)` after which nobody owes anything; the largest debts first."""
    debtors = sorted((cents, name) for name, cents in owed.items() if cents < 0)
    creditors = sorted(((cents, name) for name, cents in owed.items() if cents > 0), reverse=True)
    payments = []
    while debtors and creditors:
        debt, debtor = debtors.pop(0)
        credit, creditor = creditors.pop(0)
        paid = min(-debt, credit)
        payments.append((debtor, creditor, paid))
        if debt + paid < 0:
            debtors.insert(0, (debt + paid, debtor))
        if credit - paid > 0:
            creditors.insert(0, (credit - paid, creditor))
    return payments
