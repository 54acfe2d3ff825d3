"""What is left of values without what the schema refuses, so that the chart's rules can be asked all the same."""

from __future__ import annotations

import copy
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.chart import values_schema, yaml_strict
from harness.chart.manifests import get
from harness.chart.values import CHART, Values, coalesce, defaults
from harness.chart.yaml_strict import KeyPath
from harness.errors import HarnessError


def usable_part(values: Values, *, chart: Path = CHART) -> tuple[Values, tuple[KeyPath, ...]]:
    """Return the values without what the schema refuses (the chart's defaults in its place), and the paths taken out.

    Raises HarnessError when the defaults are refused as well.
    """
    usable, removed = values, dict[KeyPath, None]()
    while refused := [found.path for found in values_schema.findings(usable, chart=chart)]:
        overrides = copy.deepcopy(dict(usable.overrides))
        gone = [part for path in refused if (part := _remove(overrides, path, refused))]
        if not gone:
            raise HarnessError(f"the chart's own defaults are refused at {yaml_strict.show_path(refused[0])}")
        removed.update(dict.fromkeys([*refused, *gone]))
        usable = replace(usable, overrides=overrides, merged=coalesce(overrides, defaults(chart)))
    return usable, tuple(removed)


def _remove(overrides: dict[str, Any], path: KeyPath, refused: Collection[KeyPath]) -> KeyPath:
    """Remove what is set nearest to a path, itself or a map around it; return where that was, () for nowhere.

    An entry of a list makes room for a copy of a good one, so that the others keep their places.
    """
    for length in range(len(path), 0, -1):
        around, key = get(overrides, *path[: length - 1]), path[length - 1]
        if isinstance(around, dict) and key in around:
            del around[key]
            return path[:length]
        if isinstance(around, list) and isinstance(key, int):
            bad = {other[length - 1] for other in refused if other[: length - 1] == path[: length - 1] != other}
            good = [entry for index, entry in enumerate(around) if index not in bad]
            if good:
                around[key] = copy.deepcopy(good[0])
                return path[:length]
    return ()
