"""Stories with KEDA's answers, written down for the unit tests: they compare without KEDA."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tests.conformance.keda.stories import Document

FILE = Path(__file__).parents[2] / "unit" / "autoscaling" / "keda_traces" / "stories.jsonl"
KEPT = FILE.with_name("kept.jsonl")  # on which the two differed once
BYTES = 150_000
HPA_PARTS = ("metadata", "spec")
OF_THE_API_SERVER = ("creationTimestamp", "resourceVersion", "uid", "ownerReferences")


def write(pairs: Iterable[tuple[Document, Document]]) -> int:
    """Write (story, KEDA's answer) pairs, the short ones first, as many as fit. Return how many."""
    lines = sorted({_line(story, answer) for story, answer in pairs}, key=lambda line: (len(line), line))
    kept, size = [], 0
    for line in lines:
        size += len(line) + 1
        if size <= BYTES:
            kept.append(line)
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text("".join(f"{line}\n" for line in kept))
    return len(kept)


def keep(path: Path) -> Path:
    """Add a story that differed, as it was written down, to those the unit tests compare with. Return where."""
    document = json.loads(path.read_text())
    line = _line(document["story"], document["keda"])
    lines = KEPT.read_text().splitlines() if KEPT.exists() else []
    if line not in lines:
        KEPT.write_text("".join(f"{one}\n" for one in [*lines, line]))
    return KEPT


def read() -> Iterator[tuple[Document, Document]]:
    """Yield (story, KEDA's answer) of each story written down."""
    for file in (FILE, KEPT):
        for line in file.read_text().splitlines():
            document = json.loads(line)
            yield document["story"], document["keda"]


def _line(story: Document, answer: Document) -> str:
    hpa: dict[str, Any] | None = answer["hpa"] and {part: answer["hpa"][part] for part in HPA_PARTS}
    if hpa:
        hpa["metadata"] = {key: value for key, value in hpa["metadata"].items() if key not in OF_THE_API_SERVER}
    return json.dumps({"story": _without_other_queues(story), "keda": {**answer, "hpa": hpa}}, separators=(",", ":"))


def _without_other_queues(story: Document) -> Document:
    """Return a story without the queues that none of its triggers asks for."""
    asked = [trigger["metadata"] for trigger in story["scaledObject"]["spec"]["triggers"]]
    if any("useRegex" in metadata for metadata in asked):
        return story
    names = {metadata.get("queueName") for metadata in asked}
    steps = [
        {
            key: {name: one for name, one in value.items() if name in names} if key in ("queues", "later") else value
            for key, value in step.items()
        }
        for step in story["steps"]
    ]
    return {**story, "steps": steps}
