"""From zero to one and back, as KEDA does it itself."""

import pytest

from harness.autoscaling import activate, activity
from tests.unit.autoscaling.keda_builders import rabbitmq, resource_trigger, scaled

NOW = 10_000.0


def poll(made=None, **options):
    defaults = {
        "current_replicas": 1,
        "active": False,
        "error": False,
        "last_active_seconds": NOW - 1000,
        "created_seconds": 0.0,
        "now_seconds": NOW,
    }
    return activate(made or scaled(), **{**defaults, **options})


def test_the_first_message_wakes_one_pod_or_the_minimum():
    woken = poll(current_replicas=0, active=True)
    assert (woken.replicas, woken.last_active_seconds) == (1, NOW)
    assert poll(scaled(minReplicaCount=3), current_replicas=0, active=True).replicas == 3


def test_running_pods_are_the_hpas():
    going = poll(current_replicas=4, active=True, now_seconds=NOW + 0.7)
    assert (going.replicas, going.last_active_seconds) == (None, NOW)  # kept in whole seconds


def test_to_zero_only_after_the_cooldown():
    assert poll(last_active_seconds=NOW - 300).replicas is None  # 300 s is not yet more than 300 s
    assert poll(last_active_seconds=NOW - 301).replicas == 0
    assert poll(scaled(cooldownPeriod=10), last_active_seconds=NOW - 11).replicas == 0


def test_never_active_uses_the_initial_cooldown():
    made = scaled(initialCooldownPeriod=60)
    assert poll(made, last_active_seconds=None, created_seconds=NOW - 60).replicas is None
    assert poll(made, last_active_seconds=None, created_seconds=NOW - 61).replicas == 0
    assert poll(last_active_seconds=None, created_seconds=NOW - 1).replicas == 0


def test_a_minimum_keeps_keda_out_of_it():
    made = scaled(minReplicaCount=2)
    assert poll(made, current_replicas=5).replicas is None
    assert poll(made, current_replicas=1).replicas == 2


def test_idle_replicas_stand_in_for_zero():
    made = scaled(minReplicaCount=3, idleReplicaCount=1)
    assert poll(made, current_replicas=3).replicas == 1
    assert poll(made, current_replicas=1).replicas is None
    assert poll(made, current_replicas=1, active=True).replicas == 3


@pytest.mark.parametrize("fallback", [None, {"failureThreshold": 3, "replicas": 2}])
def test_a_failing_trigger_holds_the_target(fallback):
    made = scaled(fallback=fallback)
    held = poll(made, error=True)
    assert held.replicas is None
    assert "fails" in held.reason


def test_a_fallback_to_zero_lets_it_go():
    assert poll(scaled(fallback={"failureThreshold": 3, "replicas": 0}), error=True).replicas == 0


def test_an_active_trigger_beside_a_failing_one_does_not_renew_the_time():
    assert poll(current_replicas=2, active=True, error=True).last_active_seconds == NOW - 1000


def test_annotations_pause_and_force():
    def annotated(name):
        return scaled(annotations={f"autoscaling.keda.sh/{name}": "true"})

    assert poll(annotated("paused"), current_replicas=0, active=True).replicas is None
    assert poll(annotated("paused-scale-out"), current_replicas=0, active=True).replicas is None
    assert poll(annotated("paused-scale-in")).replicas is None
    assert poll(annotated("force-activation"), current_replicas=0).replicas == 1


def test_activity_of_the_object():
    made = scaled(rabbitmq(), resource_trigger())
    assert activity(made, [True, False]) == (True, False)
    assert activity(made, [False, False]) == (False, False)
    assert activity(made, [None, False]) == (False, True)
    assert activity(made, [None, True]) == (True, True)
    assert activity(scaled(resource_trigger(), minReplicaCount=1), [False]) == (True, False)
