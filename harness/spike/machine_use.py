"""How busy this whole machine is: workers, broker, load and everything else on it."""

from __future__ import annotations

import psutil

from harness.spike import facts


def busy_cores() -> float | None:
    """Return how many cores were busy since the last look of this thread.

    None where this process may not use all cores of the machine: those who use the others say nothing about these.
    """
    count = psutil.cpu_count() or 0
    share = psutil.cpu_percent() / 100
    return round(share * count, 4) if count and count == facts.machine()["cores"] else None
