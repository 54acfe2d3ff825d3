"""ScaledObjects: what KEDA makes of them and what it refuses."""

import pytest

from harness.autoscaling import HpaSpec, ScaledObject, hpa_from_scaled_object, trigger_metrics
from tests.unit.autoscaling.keda_builders import cron, manifest, rabbitmq, resource_trigger, scaled, trigger


def metrics(*triggers, **spec):
    return hpa_from_scaled_object(manifest(*triggers, **spec))["spec"]["metrics"]


def test_names_and_target():
    hpa = hpa_from_scaled_object(manifest())
    assert hpa["metadata"]["name"] == "keda-hpa-celery-io-worker"
    assert hpa["spec"]["scaleTargetRef"] == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "name": "celery-io-worker",
    }
    assert metrics() == [
        {
            "type": "External",
            "external": {
                "metric": {
                    "name": "s0-rabbitmq-io",
                    "selector": {"matchLabels": {"scaledobject.keda.sh/name": "celery-io-worker"}},
                },
                "target": {"type": "AverageValue", "averageValue": "200"},
            },
        }
    ]


def test_the_index_counts_every_trigger_and_resources_come_last():
    made = metrics(resource_trigger("cpu"), rabbitmq(), resource_trigger("memory", "70"), rabbitmq(queueName="mixed"))
    assert [metric["type"] for metric in made] == ["External", "External", "Resource", "Resource"]
    assert [metric["external"]["metric"]["name"] for metric in made[:2]] == ["s1-rabbitmq-io", "s3-rabbitmq-mixed"]
    assert [metric["resource"]["name"] for metric in made[2:]] == ["cpu", "memory"]


@pytest.mark.parametrize(
    ("queue", "name"),
    [("io.high", "s0-rabbitmq-io-high"), ("a/b c", "s0-rabbitmq-a-2Fb+c"), ("x(1)", "s0-rabbitmq-x-281-29")],
)
def test_names_are_made_safe(queue, name):
    assert trigger(queueName=queue).name == name


def test_minimum_and_maximum():
    def bounds(**spec):
        made = hpa_from_scaled_object(manifest(**spec))["spec"]
        return made["minReplicas"], made["maxReplicas"]

    assert bounds() == (1, 100)
    assert bounds(minReplicaCount=0, maxReplicaCount=7) == (1, 7)
    assert bounds(minReplicaCount=3, maxReplicaCount=7) == (3, 7)


def test_targets_of_every_kind():
    made = metrics(
        rabbitmq("Value", mode="ExpectedQueueConsumptionTime", value="2.5"),
        rabbitmq(value="1000"),
        resource_trigger("memory", "1Gi", "AverageValue"),
        resource_trigger("cpu", "50"),
        cron(),
    )
    assert [next(iter(metric.values())) for metric in made] == ["External"] * 3 + ["Resource"] * 2
    targets = [metric.get("external", metric.get("resource"))["target"] for metric in made]
    assert targets == [
        {"type": "Value", "value": "2500m"},
        {"type": "AverageValue", "averageValue": "1k"},
        {"type": "AverageValue", "averageValue": "1"},
        {"type": "AverageValue", "averageValue": "1073741824"},
        {"type": "Utilization", "averageUtilization": 50},
    ]


def test_the_result_is_an_autoscaler_that_can_be_read():
    behavior = {"scaleUp": {"policies": [{"type": "Pods", "value": 3, "periodSeconds": 60}]}}
    advanced = {"horizontalPodAutoscalerConfig": {"behavior": behavior, "name": "own"}}
    document = manifest(rabbitmq(), resource_trigger(), advanced=advanced, maxReplicaCount=5)
    made = hpa_from_scaled_object(document)
    assert made["spec"]["behavior"] == behavior
    spec = HpaSpec.from_manifest(made)
    assert (spec.name, spec.max_replicas) == ("own", 5)
    assert [metric.name for metric in spec.metrics] == ["s0-rabbitmq-io", "cpu"]


def test_pausing_one_direction_disables_it_and_leaves_the_document_alone():
    document = manifest(annotations={"autoscaling.keda.sh/paused-scale-in": "true"})
    assert hpa_from_scaled_object(document)["spec"]["behavior"] == {"scaleDown": {"selectPolicy": "Disabled"}}
    behavior = {"scaleUp": {"stabilizationWindowSeconds": 30}}
    document = manifest(
        annotations={"autoscaling.keda.sh/paused-scale-out": "yes"},
        advanced={"horizontalPodAutoscalerConfig": {"behavior": behavior}},
    )
    made = hpa_from_scaled_object(document)["spec"]["behavior"]
    assert made == {"scaleUp": {"stabilizationWindowSeconds": 30, "selectPolicy": "Disabled"}}
    assert behavior == {"scaleUp": {"stabilizationWindowSeconds": 30}}
    unpaused = manifest(annotations={"autoscaling.keda.sh/paused-scale-in": "false"})
    assert "behavior" not in hpa_from_scaled_object(unpaused)["spec"]


def test_labels_are_kedas_and_the_objects_own():
    document = manifest(annotations={"scaledobject.keda.sh/hpa-excluded-labels": "secret,other"})
    document["metadata"]["labels"] = {"team": "mail", "secret": "x"}
    labels = hpa_from_scaled_object(document)["metadata"]["labels"]
    assert labels["team"] == "mail"
    assert "secret" not in labels
    assert labels["app.kubernetes.io/part-of"] == "celery-io-worker"
    assert labels["app.kubernetes.io/name"] == "keda-hpa-celery-io-worker"
    assert labels["scaledobject.keda.sh/name"] == "celery-io-worker"


def test_a_name_too_long_for_a_label_is_refused():
    document = manifest()
    document["metadata"]["name"] = "a" * 55
    with pytest.raises(
        ValueError, match=r"keda-hpa-a* has 64 characters, .*: set .*horizontalPodAutoscalerConfig.name"
    ):
        hpa_from_scaled_object(document)
    document["spec"]["advanced"] = {"horizontalPodAutoscalerConfig": {"name": "io"}}
    assert hpa_from_scaled_object(document)["metadata"]["name"] == "io"
    document["metadata"]["name"] = "a" * 64
    with pytest.raises(ValueError, match=r"metadata.name has 64 characters"):
        hpa_from_scaled_object(document)


def test_defaults_of_the_object():
    made = scaled()
    assert (made.polling_seconds, made.cooldown_seconds, made.initial_cooldown_seconds) == (30, 300, 0)
    assert (made.min_replicas, made.max_replicas, made.idle_replicas, made.fallback) == (0, 100, None, None)


def test_the_old_and_the_shortest_spelling_of_a_queue_length():
    assert trigger(mode="", value="", queueLength="50").value == 50
    assert trigger(mode="", value="").value == 20


def test_amqp_counts_ready_only_and_http_can():
    assert trigger().counts_unacked
    assert not trigger(excludeUnacknowledged="true").counts_unacked
    assert not trigger(protocol="amqp").counts_unacked
    assert not trigger(protocol="", host="amqps://broker/").counts_unacked
    assert trigger(protocol="auto", host="https://broker/").counts_unacked


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"queueName": ""}, r"metadata.queueName is missing"),
        ({"protocol": ""}, "protocol is needed"),
        ({"protocol": "mqtt"}, "protocol is 'mqtt', must be one of amqp, http, auto"),
        ({"protocol": "amqp", "mode": "MessageRate"}, "must be http for mode MessageRate"),
        ({"protocol": "amqp", "useRegex": "true"}, "need protocol http"),
        ({"mode": "Depth"}, "mode is 'Depth'"),
        ({"mode": ""}, "mode is missing"),
        ({"value": ""}, "value is missing"),
        ({"value": "many"}, "value is 'many', must be a number"),
        ({"value": "NaN"}, "value is 'NaN', must be a number"),
        ({"queueLength": "5"}, "queueLength is the old spelling"),
        ({"useRegex": "maybe"}, "useRegex is 'maybe'"),
        ({"operation": "median"}, "operation is 'median'"),
    ],
)
def test_refuses_naming_trigger_and_key(metadata, message):
    with pytest.raises(ValueError, match=message) as caught:
        trigger_metrics(manifest(rabbitmq(**metadata)))
    assert str(caught.value).startswith("ScaledObject celery-io-worker: spec.triggers[0].metadata")


@pytest.mark.parametrize(
    ("triggers", "spec", "message"),
    [
        ([{"type": "kafka", "metadata": {}}], {}, "type is 'kafka'"),
        ([{"type": "rabbitmq", "metadata": {"value": 200}}], {}, "value is 200, must be a text"),
        ([rabbitmq("Utilization")], {}, "metricType is 'Utilization'"),
        ([resource_trigger(metric_type=None)], {"minReplicaCount": 1}, "metricType is None"),
        ([resource_trigger(value="half")], {"minReplicaCount": 1}, "value is 'half'"),
        ([resource_trigger()], {}, "minReplicaCount 0 needs a trigger besides cpu and memory"),
        ([rabbitmq()], {"minReplicaCount": 6, "maxReplicaCount": 5}, "minReplicaCount 6 is above"),
        ([rabbitmq()], {"minReplicaCount": 2, "idleReplicaCount": 2}, "idleReplicaCount 2 must be below"),
        ([rabbitmq()], {"maxReplicaCount": 0}, "maxReplicaCount is 0"),
        ([rabbitmq()], {"pollingInterval": 0}, "pollingInterval is 0"),
        ([rabbitmq()], {"fallback": {"failureThreshold": 3}}, "fallback.replicas is missing"),
        ([rabbitmq()], {"advanced": {"scalingModifiers": {"formula": "a"}}}, "scalingModifiers is not modelled"),
        ([cron(end="0 8 * * *")], {}, "start and end are the same"),
        ([cron(timezone="Mars/Base")], {}, "timezone is 'Mars/Base'"),
        ([cron(start="61 * * * *")], {}, "cron field minute is '61'"),
        ([cron(start="* * * *")], {}, "has 4 fields"),
        ([cron(replicas="0")], {}, "desiredReplicas is 0"),
        ([{**cron(), "useCachedMetrics": True}], {}, "useCachedMetrics is not for cron triggers"),
        ([{**rabbitmq(), "name": "a"}, {**cron(), "name": "a"}], {}, "two have the same name"),
    ],
)
def test_refuses_objects(triggers, spec, message):
    with pytest.raises(ValueError, match=message):
        ScaledObject.from_manifest(manifest(*triggers, **spec))


@pytest.mark.parametrize("value", ["-1", "0", "+0"])
def test_a_percentage_below_1_is_refused_with_the_autoscaler_that_keda_would_make(value):
    made = hpa_from_scaled_object(manifest(rabbitmq(), resource_trigger(value=value)))
    with pytest.raises(ValueError, match=rf"averageUtilization is {int(value)}, must be a whole number from 1"):
        HpaSpec.from_manifest(made)


def test_a_paused_object_is_taken_with_mistakes_that_only_its_scalers_would_meet():
    paused = {"autoscaling.keda.sh/paused": "true"}
    made = ScaledObject.from_manifest(manifest(rabbitmq(mode="Depth"), cron(), annotations=paused))
    assert [trigger.kind for trigger in made.triggers] == ["cron"]
    assert ScaledObject.from_manifest(manifest(rabbitmq(mode="Depth"), annotations=paused)).paused
    for triggers, message in (
        ([{**cron(), "useCachedMetrics": True}], "useCachedMetrics is not for cron triggers"),
        ([{**rabbitmq(), "name": "a"}, {**cron(), "name": "a"}], "two have the same name"),
        ([{"type": "rabbitmq", "metadata": {"value": 200}}], "value is 200, must be a text"),
        ([resource_trigger()], "minReplicaCount 0 needs a trigger besides cpu and memory"),
        ([], "triggers is empty"),
    ):
        document = manifest(annotations=paused)
        document["spec"]["triggers"] = triggers
        with pytest.raises(ValueError, match=message):
            ScaledObject.from_manifest(document)


def test_refuses_an_object_without_triggers():
    document = manifest()
    document["spec"]["triggers"] = []
    with pytest.raises(ValueError, match="triggers is empty"):
        ScaledObject.from_manifest(document)
