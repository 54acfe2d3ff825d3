"""A spike run: scenario, load, ledger, verdict, report."""
