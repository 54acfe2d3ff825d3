"""What a parcel costs. Pure."""

from __future__ import annotations


def price_cents(grams: int) -> int:
    """Return the price of a parcel."""
    return 400 + 100 * -(-grams // 1000)
