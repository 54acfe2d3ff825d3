"""The simulator that plans are made with; loading it takes a moment, so only what simulates imports this."""

from __future__ import annotations

from harness.simulation import simulate

__all__ = ["simulate"]
