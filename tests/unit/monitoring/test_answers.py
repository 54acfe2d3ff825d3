"""What Prometheus answers, and what it is told, without one."""

from __future__ import annotations

import math

import pytest

from harness.monitoring import answers, configuration
from harness.monitoring.configuration import Target


def test_samples_of_vectors_and_scalars() -> None:
    vector = {"resultType": "vector", "result": [{"metric": {"a": "b"}, "value": [1.5, "NaN"]}]}
    (found,) = answers.samples(vector)
    assert found.labels == {"a": "b"}
    assert found.at == 1.5
    assert math.isnan(found.value)
    assert answers.samples({"resultType": "scalar", "result": [2, "+Inf"]}) == [answers.Sample({}, 2.0, math.inf)]


def test_curves() -> None:
    matrix = {"resultType": "matrix", "result": [{"metric": {}, "values": [[1, "2"], [3, "4"]]}]}
    assert answers.curves(matrix) == [answers.Curve({}, ((1.0, 2.0), (3.0, 4.0)))]


@pytest.mark.parametrize("read", [answers.samples, answers.curves])
def test_other_forms_are_refused(read: object) -> None:
    with pytest.raises(ValueError, match="answered with a string"):
        read({"resultType": "string", "result": [1, "x"]})  # type: ignore[operator]


def test_a_target_with_path_and_parameters() -> None:
    target = Target("rabbitmq", "http://127.0.0.1:15692/metrics/detailed?family=a&family=b", {"namespace": "local"})
    made = configuration.document([target], rule_files=["/r.yml"], interval_seconds=0.5, alertmanagers=["h:1"])
    assert made["global"]["scrape_interval"] == "500ms"
    assert made["rule_files"] == ["/r.yml"]
    assert made["scrape_configs"] == [
        {
            "job_name": "rabbitmq",
            "scheme": "http",
            "honor_labels": True,
            "metrics_path": "/metrics/detailed",
            "params": {"family": ["a", "b"]},
            "static_configs": [{"targets": ["127.0.0.1:15692"], "labels": {"namespace": "local"}}],
        }
    ]
    assert made["alerting"] == {"alertmanagers": [{"static_configs": [{"targets": ["h:1"]}]}]}


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match=r"begins with http"):
        configuration.document([Target("a", "127.0.0.1:80")], interval_seconds=1)
