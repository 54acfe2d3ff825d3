"""Makes a story on which KEDA and the harness differ as small as it can be, to be read by a person and kept."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence

from tests.conformance.keda.compare import differences
from tests.conformance.keda.ours import live
from tests.conformance.keda.stories import Document

REQUIRED = ("scaleTargetRef", "triggers")
Ask = Callable[[Sequence[Document]], Sequence[Document]]
"""KEDA's answers to stories, in their order."""


def smallest(story: Document, ask: Ask) -> tuple[Document, Document]:
    """Return a small story that still differs, and KEDA's answer. Raises ValueError for one that does not differ."""
    (answer,) = ask([story])
    if not differences(answer, live(story)):
        raise ValueError(f"story {story['id']} does not differ")
    while True:
        candidates = list(_smaller(story))
        pairs = zip(candidates, ask(candidates), strict=True)
        found = next(((one, theirs) for one, theirs in pairs if differences(theirs, live(one))), None)
        if found is None:
            return story, answer
        story, answer = found


def _smaller(story: Document) -> Iterator[Document]:
    count = len(story["steps"])
    for kept in sorted({1, count // 2, count - 1} - {0, count}):
        yield _edit(story, lambda s, n=kept: s["steps"].__delitem__(slice(n, None)))
    triggers = story["scaledObject"]["spec"]["triggers"]
    for index in range(len(triggers)) if len(triggers) > 1 else ():
        yield _edit(story, lambda s, i=index: s["scaledObject"]["spec"]["triggers"].pop(i))
    for key in [key for key in story["scaledObject"]["spec"] if key not in REQUIRED]:
        yield _edit(story, lambda s, k=key: s["scaledObject"]["spec"].pop(k))
    for key in [key for key in story["scaledObject"]["metadata"] if key != "name"]:
        yield _edit(story, lambda s, k=key: s["scaledObject"]["metadata"].pop(k))
    for index, step in enumerate(story["steps"]):
        for name in step.get("queues", {}):
            yield _edit(story, lambda s, i=index, n=name: _without(s["steps"][i], n))
        if "later" in step:
            yield _edit(story, lambda s, i=index: s["steps"][i].pop("later"))


def _without(step: Document, queue: str) -> None:
    for when in ("queues", "later"):
        step.get(when, {}).pop(queue, None)


def _edit(story: Document, change: Callable[[Document], object]) -> Document:
    smaller = copy.deepcopy(story)
    change(smaller)
    return smaller
