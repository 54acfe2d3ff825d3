"""Makes an hour on which the two differ as small as it can be, to be read by a person and kept as a case."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator

from harness.errors import HarnessError
from tests.conformance.compare import first_difference
from tests.conformance.hours import Document
from tests.conformance.oracle import Oracle

MAX_TRIES = 1000  # each asks the oracle once, a few tenths of a second


def smallest(hour: Document, oracle: Oracle) -> Document:
    """Return a small hour that still differs. Raises ValueError for one that does not."""
    index = first_difference(hour, oracle)
    if index is None:
        raise ValueError(f"hour {hour['id']} does not differ")

    def differs(smaller: Document) -> bool:
        try:
            return bool(smaller["observations"]) and first_difference(smaller, oracle) is not None
        except (HarnessError, ValueError):  # cut too far: one of the two refuses what is left
            return False

    return shrink(_edit(hour, lambda h: h["observations"].__delitem__(slice(index + 1, None))), differs)


def shrink(hour: Document, differs: Callable[[Document], bool], *, tries: int = MAX_TRIES) -> Document:
    """Drop syncs, pods, metrics and rules while the rest differs, with at most so many questions."""
    changed = True
    while changed:
        changed = False
        for smaller in _smaller(hour):
            tries -= 1
            if tries < 0:
                return hour
            if differs(smaller):
                hour, changed = smaller, True
                break
    return hour


def _smaller(hour: Document) -> Iterator[Document]:
    count = len(hour["observations"])
    for size in (count // 2, count // 4, 4, 1):
        for start in range(0, count, size) if 0 < size < count else ():
            yield _edit(hour, lambda h, a=start, b=start + size: h["observations"].__delitem__(slice(a, b)))
    for name in sorted({pod["name"] for seen in hour["observations"] for pod in seen.get("pods", [])}):
        yield _edit(hour, lambda h, n=name: _drop_pod(h, n))
    metrics = hour["hpa"]["spec"]["metrics"]
    for index in range(len(metrics)) if len(metrics) > 1 else ():
        yield _edit(hour, lambda h, i=index: h["hpa"]["spec"]["metrics"].pop(i))
    for direction in list(hour["hpa"]["spec"].get("behavior", {})):
        yield _edit(hour, lambda h, d=direction: h["hpa"]["spec"]["behavior"].pop(d))


def _edit(hour: Document, change: Callable[[Document], object]) -> Document:
    smaller = copy.deepcopy(hour)
    change(smaller)
    return smaller


def _drop_pod(hour: Document, name: str) -> None:
    for seen in hour["observations"]:
        if "pods" in seen:
            seen["pods"] = [pod for pod in seen["pods"] if pod["name"] != name]
