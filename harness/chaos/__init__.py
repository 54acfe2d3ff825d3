"""Chaos: a steady load, faults on a schedule, and a ledger that says what each of them cost."""
