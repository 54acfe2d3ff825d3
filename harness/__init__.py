"""Renders and validates the chart, and runs spike tests with a ledger and a report."""
