"""Looks at an autoscaler again and again for a bounded time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

from harness.errors import HarnessError


def record(
    look: Callable[[], dict[str, Any]],
    *,
    seconds: float,
    every_seconds: float,
    clock: Callable[[], float],
    sleep: Callable[[float], object],
    failed: list[str],
) -> Iterator[dict[str, Any]]:
    """Yield what is seen, every so often, for so long; a look that takes long leaves some out.

    The words of a look that fails are added to `failed`. The first one has to succeed: raises its HarnessError.
    """
    began, index = clock(), 0
    while index * every_seconds <= seconds:
        sleep(max(0.0, began + index * every_seconds - clock()))
        try:
            yield look()
        except HarnessError as error:
            if index == 0:
                raise
            failed.append(str(error))
        index = max(index + 1, math.ceil((clock() - began) / every_seconds))
