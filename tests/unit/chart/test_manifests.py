"""Looking into manifests, and the examples in the docstrings of the package."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
from fractions import Fraction
from typing import Any

import pytest

import harness.chart
from celery_workers.topology import REDIS_URL_VARIABLE
from examx import breakers
from harness.chart import manifests

MODULES = [f"harness.chart.{module.name}" for module in pkgutil.iter_modules(harness.chart.__path__)]


@pytest.mark.parametrize("name", [*MODULES, "harness.tools"])
def test_examples_in_docstrings(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("1", 1), (2, 2), ("100m", Fraction(1, 10)), ("1.5Gi", 1_610_612_736), ("2k", 2000), ("5n", Fraction(5, 10**9)),
        ("1E", 10**18), ("1e3", 1000), (".5", Fraction(1, 2)), ("", None), ("1 Gi", None), ("Gi", None), (None, None),
        (True, None), ("-1", None), ("1e9999999", None),
    ],
)  # fmt: skip
def test_quantities(value: Any, number: Fraction | int | None) -> None:
    assert manifests.quantity(value) == number


@pytest.mark.parametrize(
    ("expression", "selected"),
    [
        ({"key": "a", "operator": "In", "values": ["1", "2"]}, True),
        ({"key": "a", "operator": "NotIn", "values": ["1"]}, False),
        ({"key": "b", "operator": "NotIn", "values": ["1"]}, True),
        ({"key": "a", "operator": "Exists"}, True),
        ({"key": "b", "operator": "Exists"}, False),
        ({"key": "b", "operator": "DoesNotExist"}, True),
    ],
)
def test_selectors(expression: dict[str, Any], selected: bool) -> None:
    assert manifests.matches({"matchExpressions": [expression]}, {"a": "1"}) is selected
    assert manifests.matches({"matchLabels": {"a": "1"}}, {"a": "1", "b": "2"})
    assert not manifests.matches({"matchLabels": {"a": "2"}}, {"a": "1"})


def test_arguments_in_both_forms() -> None:
    container = {"command": ["celery"], "args": ["--pool=gevent", "--queues", "io", "--concurrency"]}
    found = [manifests.argument(container, option) for option in ("--pool", "--queues", "--concurrency", "--x")]
    assert found == ["gevent", "io", "", None]


def test_pod_specs_of_every_workload_kind() -> None:
    spec = {"containers": [{"name": "c"}]}
    assert manifests.pod_spec({"kind": "Pod", "spec": spec}) == spec
    assert manifests.pod_spec({"kind": "Job", "spec": {"template": {"spec": spec}}}) == spec
    nested = {"jobTemplate": {"spec": {"template": {"spec": spec}}}}
    assert manifests.pod_spec({"kind": "CronJob", "spec": nested}) == spec
    assert manifests.pod_spec({"kind": "Service", "spec": spec}) == {}


def test_the_workers_are_given_redis_in_the_variable_the_library_reads() -> None:
    assert manifests.REDIS_URL_VARIABLE == REDIS_URL_VARIABLE == breakers.REDIS_URL_VARIABLE
