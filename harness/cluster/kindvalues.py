"""What values/kind.yaml does to the classes it knows, for sets of values with other classes. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from harness.chart import manifests as look
from harness.chart.values import classes

Values = Mapping[str, Any]


def overlay(kind: Values, *, chart: Values, merged: Values) -> dict[str, Any] | None:
    """Return the overlay that does to a set's requests, limits and targets what `kind` does to the chart's.

    `chart` are the chart's defaults, `merged` the set laid over them. None where `kind` knows all the classes itself:
    laid over a set without them it would bring them back.
    """
    workers = classes(merged)
    if workers.keys() <= kind["workers"].keys():
        return None
    factor = _factor(kind["workers"], chart["workers"])
    return {**kind, "workers": {name: _class(worker, factor) for name, worker in workers.items()}}


def _class(worker: Values, factor: Fraction) -> dict[str, Any]:
    """Return a class's overlay. A CPU target stays as many cores where tasks wait, if its limit allows so many."""
    resources = _divided(look.mapping(worker, "resources"), factor)
    asked, most = (look.quantity(look.get(resources, part, "cpu")) for part in ("requests", "limits"))
    target = look.get(worker, "targets", "cpuUtilization")
    if not target or not asked or worker["pool"] == "prefork":
        return {"resources": resources}
    raised = target * factor
    if most is not None and raised >= 100 * most / asked:
        return {"resources": resources}
    return {"resources": resources, "targets": {"cpuUtilization": int(raised)}}


def _factor(small: Values, usual: Values) -> Fraction:
    """Return by how much requests are divided; memory says it exactly, CPU is rounded to a thousandth of a core."""
    name = next(iter(small))
    before, after = (look.quantity(look.get(one[name], "resources", "requests", "memory")) for one in (usual, small))
    if not before or not after:
        raise ValueError(f"class {name} requests no memory")
    return before / after


def _divided(resources: Values, factor: Fraction) -> dict[str, dict[str, str]]:
    return {
        part: {key: _written(key, (look.quantity(value) or Fraction(0)) / factor) for key, value in amounts.items()}
        for part, amounts in resources.items()
    }


def _written(resource: str, amount: Fraction) -> str:
    return f"{math.ceil(amount * 1000)}m" if resource == "cpu" else f"{math.ceil(amount)}"
