"""The mutation check: every property of the values schema is changed, and every change is refused by its path or shows.

`python -m tests.chart.mutation` (`make mutation`) runs it whole and prints what it counted; the tests run the same.
A property of another type, out of range or misspelt must be refused with its path named, by the harness and by each
helm. Another value that the schema takes must change what is rendered, or be refused by a rule that names its path.
"""

from __future__ import annotations

import copy
import functools
import json
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import tools
from harness.chart import values, values_schema
from harness.chart.manifests import get
from harness.chart.render import ValuesRefusedError, render_values
from harness.chart.validate import validate
from harness.chart.values import CHART, Values
from harness.chart.yaml_strict import KeyPath, show_path
from tests.chart import mutants
from tests.chart.mutants import Mutant, Place, Schema
from tests.golden import refresh

FOLDER = Path(__file__).resolve().parent / "values"
HELM_MAJORS = (3, 4)
# Properties that no object shows, and why.
UNREAD = {"global": "the values of a parent chart; Helm hands them to every chart"}
# Properties that only the harness reads, and for what: another value must change what `harness validate` says. To stand
# in topology.json is no use of one.
HARNESS_ONLY = {
    "workers.*.expectedTaskSeconds": "how long a full queue makes a task wait, compared with messageTtl",
    "workerDefaults.expectedTaskSeconds": "the same",
}
MOST_TRIES = 40


@dataclass(frozen=True)
class Survivor:
    """A mutant that nothing noticed, and who should have."""

    mutant: str
    base: str
    by: str

    def __str__(self) -> str:
        return f"{self.by} takes in {self.base}: {self.mutant}"


@functools.cache
def schema() -> Schema:
    """Return the chart's schema."""
    return Schema(json.loads(values_schema.schema_file().read_text(encoding="utf-8")))


@functools.cache
def bases() -> dict[str, Values]:
    """Return the values that are changed: what the golden files render, and values that set every key."""
    found = {name: values.read(files) for name, files in refresh.files().items()}
    found |= {path.stem: values.read([path]) for path in sorted(FOLDER.glob("*.yaml"))}
    return {**found, "defaults": _as_defaults(found["full"])}


@functools.cache
def places() -> dict[str, list[tuple[str, Place]]]:
    """Return pattern -> where values have it, those that set it first."""
    found: dict[str, list[tuple[str, Place]]] = {}
    for name in sorted(bases(), key=["defaults", "full"].__contains__, reverse=True):
        for place in schema().places(bases()[name].merged):
            found.setdefault(place.pattern, []).append((name, place))
    return {pattern: sorted(there, key=lambda pair: pair[1].value is None) for pattern, there in sorted(found.items())}


def refusable() -> dict[str, list[Mutant]]:
    """Return base -> the mutants that must be refused, each pattern in the first base that has it."""
    found: dict[str, list[Mutant]] = {}
    for (base, place), *_ in places().values():
        found.setdefault(base, []).extend(mutants.mutants(schema(), place))
    return found


def changeable() -> list[str]:
    """Return the patterns whose other values must show: what has a value of its own, no map of further properties."""
    return [
        pattern
        for pattern, ((_, place), *_) in places().items()
        if place.unless is None and not place.schema.get("properties") and pattern not in {*UNREAD, *HARNESS_ONLY}
    ]


def taken_by_harness(base: str, found: Sequence[Mutant]) -> Iterator[Survivor]:
    """Yield the mutants that the harness's schema check does not refuse by their path."""
    for group in mutants.batches(found):
        loaded = Values((), {}, mutants.applied(bases()[base].merged, group))
        named = {finding.path for finding in values_schema.findings(loaded)}
        yield from (Survivor(str(mutant), base, "harness") for mutant in group if not _names(named, mutant.path))


def one_a_kind(found: Sequence[Mutant]) -> list[Mutant]:
    """Return one mutant of each kind and place: what helm is asked, since a call of it is a hundred times as long."""
    return list({(mutant.place.path, mutant.kind): mutant for mutant in found}.values())


def taken_by_helm(major: int, base: str, found: Sequence[Mutant]) -> Iterator[Survivor]:
    """Yield the mutants that a helm does not refuse by their path."""
    for group in mutants.batches(found):
        named = _helm_paths(major, mutants.applied(bases()[base].merged, group))
        yield from (Survivor(str(mutant), base, f"helm {major}") for mutant in group if not _names(named, mutant.path))


def unseen(pattern: str) -> Survivor | None:
    """Return a survivor when no other value of a property changes a render or is refused by its path, else None."""
    likely = sorted(places()[pattern], key=lambda pair: -_own_keys(pair[0], pair[1].path))
    there = [(base, mutants.other_values(schema(), place)) for base, place in likely]
    tried = [(base, found[turn]) for turn in range(3) for base, found in there if len(found) > turn][:MOST_TRIES]
    if not tried:
        return Survivor(f"{pattern}: no sample fits it, add one to tests/chart/mutants.py", "any values", "nobody")
    if any(shows(base, mutant) for base, mutant in tried):
        return None
    return Survivor(str(tried[0][1]), tried[0][0], "the render")


def unsaid(pattern: str) -> Survivor | None:
    """Return a survivor when no other value of a property changes what `harness validate` reports, else None."""
    for base, place in places()[pattern]:
        before = validate([], set_values=bases()[base].overrides).to_dict()
        for mutant in mutants.other_values(schema(), place)[:3]:
            if validate([], set_values=_changed(base, mutant).overrides).to_dict() != before:
                return None
    return Survivor(pattern, "every base", "harness validate")


def _as_defaults(full: Values) -> Values:
    """Return values whose one class takes from workerDefaults what it sets itself in `full`."""
    overrides = copy.deepcopy(dict(full.overrides))
    overrides["workerDefaults"] = overrides["workers"].pop("full")
    overrides["workers"]["plain"] = {}
    return values.read([], set_values=overrides)


def _own_keys(base: str, path: KeyPath) -> int:
    """Return how much of a path a base itself sets: the more, the likelier its branch is on."""
    return sum(get(bases()[base].overrides, *path[: length + 1]) is not None for length in range(len(path)))


def _names(paths: set[KeyPath], path: KeyPath) -> bool:
    return any(named[: len(path)] == path for named in paths)


def _helm_paths(major: int, data: Mapping[str, Any]) -> set[KeyPath]:
    """Return every path that helm names in refusing values."""
    command = [tools.find_helm(major), "template", "x", CHART, "--values", "-"]
    done = subprocess.run(list(map(str, command)), input=json.dumps(data), capture_output=True, text=True, timeout=60)
    found: set[KeyPath] = set()
    for pointer, message in re.findall(r"^\s*- at '([^']*)': (.*)$", done.stderr, re.MULTILINE):
        parts = [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]
        path = tuple(int(part) if part.isdigit() else part for part in parts)
        found.add(path)
        extra = re.search(r"additional properties (.*) not allowed", message)
        found |= {(*path, key) for key in re.findall(r"'([^']*)'", extra[1] if extra else "")}
    return found


def shows(base: str, mutant: Mutant) -> bool:
    """Return whether a mutant changes the render of a base, or a rule refuses it by its path."""
    try:
        return render_values(_changed(base, mutant)).manifests != _manifests(base)
    except ValuesRefusedError as error:
        return any(problem.path.startswith(show_path(mutant.path)) for problem in error.problems)


def _changed(base: str, mutant: Mutant) -> Values:
    """Return a base with a mutant laid over what the user gives, as one gives it: a list as a whole."""
    path = mutant.place.path
    length = next((depth for depth, key in enumerate(path) if isinstance(key, int)), len(path))
    change: Any = get(mutants.applied(bases()[base].merged, [mutant]), *path[:length])
    for key in reversed(path[:length]):
        change = {key: change}
    return values.read([], set_values=values.lay_over(bases()[base].overrides, change))


@functools.cache
def _manifests(base: str) -> list[dict[str, Any]]:
    return render_values(bases()[base]).manifests


def main() -> int:
    """Run the whole check, print what it counted, and return the number of survivors."""
    started, counted, survivors = time.monotonic(), Counter[str](), list[Survivor]()
    for base, found in refusable().items():
        counted.update(mutant.kind for mutant in found)
        survivors += taken_by_harness(base, found)
        for major in HELM_MAJORS:
            survivors += taken_by_helm(major, base, one_a_kind(found))
    for pattern in changeable():
        counted[mutants.OTHER_VALUE] += 1
        survivors += filter(None, [unseen(pattern)])
    for pattern in HARNESS_ONLY:
        counted[mutants.OTHER_VALUE] += 1
        survivors += filter(None, [unsaid(pattern)])
    for survivor in survivors:
        print(f"survived: {survivor}")
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(counted.items()))
    print(
        f"{len(places())} properties, {counted.total()} mutants ({kinds}), {len(survivors)} survivors, "
        f"{len(UNREAD)} not read by the chart, {len(HARNESS_ONLY)} read by the harness alone; "
        f"{time.monotonic() - started:.0f} s"
    )
    return len(survivors)


if __name__ == "__main__":
    sys.exit(1 if main() else 0)
