"""The settings workers and publishers get from a topology."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
from celery import Celery
from celery.app.defaults import SETTING_KEYS

from benchmarks import workers
from tests.local.worker_release import load_file


@pytest.mark.parametrize(
    ("task", "queue", "priority"),
    [
        ("forgot_password_mail", "io", 8),
        ("user_app.utility.forgot_password_mail", "io", 8),
        ("not_forgot_password_mail", "mixed", 1),
        ("bulk_upload", "cpu", 4),
        ("questions.tasks.bulk_upload", "cpu", 4),
        ("anything", "mixed", 1),
    ],
)
def test_first_route_that_fits_decides(celeryconfig: ModuleType, task: str, queue: str, priority: int) -> None:
    app = Celery("publisher", set_as_current=False)
    app.config_from_object(celeryconfig)
    route = app.amqp.router.route({}, task)
    assert (route["queue"].name, route["priority"]) == (queue, priority)


def test_explicit_priority_of_the_caller_stays(celeryconfig: ModuleType) -> None:
    app = Celery("publisher", set_as_current=False)
    app.config_from_object(celeryconfig)
    assert app.amqp.router.route({"priority": 9}, "bulk_upload")["priority"] == 9


def test_without_a_fitting_route_the_default_decides(celeryconfig: ModuleType, topology: workers.Topology) -> None:
    route = celeryconfig.make_router({**topology, "routes": []})("anything", (), {}, {})
    assert route == {"queue": "io", "priority": 5}


def test_every_name_is_a_setting_of_celery(celeryconfig: ModuleType, topology: workers.Topology) -> None:
    for worker_class in ("", *topology["classes"]):
        environment = {"CELERY_WORKERS_CLASS": worker_class, "CELERY_BROKER_URL": "amqp://h"}
        assert celeryconfig.make_settings(topology, environment).keys() <= SETTING_KEYS


def test_publishers_get_no_workers_settings(celeryconfig: ModuleType, topology: workers.Topology) -> None:
    settings = celeryconfig.make_settings(topology, {})
    assert not [key for key in settings if key.startswith("worker_") or "ack" in key]
    assert settings["broker_transport_options"]["confirm_publish"] is True


def test_broker_of_the_environment_holds_for_reading_and_writing(
    celeryconfig: ModuleType, topology: workers.Topology
) -> None:
    settings = celeryconfig.make_settings(topology, {"CELERY_BROKER_URL": "amqp://h"})
    assert {settings[key] for key in ("broker_url", "broker_read_url", "broker_write_url")} == {"amqp://h"}


@pytest.mark.parametrize(
    ("worker_class", "expected"),
    [
        ("io", {"task_time_limit": 300, "worker_cancel_long_running_tasks_on_connection_loss": True}),
        (
            "cpu",
            {
                "task_time_limit": 3600,
                "task_soft_time_limit": 3500,
                "worker_max_tasks_per_child": 100,
                "worker_max_memory_per_child": 500_000,
            },
        ),
        ("mixed", {"worker_cancel_long_running_tasks_on_connection_loss": False}),
    ],
)
def test_settings_of_a_class(
    celeryconfig: ModuleType, topology: workers.Topology, worker_class: str, expected: dict[str, object]
) -> None:
    settings = celeryconfig.make_settings(topology, {"CELERY_WORKERS_CLASS": worker_class})
    assert expected.items() <= settings.items()
    assert settings["task_acks_late"] is True
    assert settings["worker_prefetch_multiplier"] == 1


def test_limits_that_are_not_set_stay_celerys(celeryconfig: ModuleType, topology: workers.Topology) -> None:
    settings = celeryconfig.make_settings(topology, {"CELERY_WORKERS_CLASS": "mixed"})
    assert not {"task_time_limit", "task_soft_time_limit", "worker_max_tasks_per_child"} & settings.keys()


def test_unknown_class_is_an_error(celeryconfig: ModuleType, topology: workers.Topology) -> None:
    with pytest.raises(KeyError, match="video"):
        celeryconfig.make_settings(topology, {"CELERY_WORKERS_CLASS": "video"})


def test_unknown_version_is_refused(config: Path) -> None:
    path = config / "topology.json"
    path.write_text(path.read_text().replace('"version": 1', '"version": 2'))
    with pytest.raises(ValueError, match="version 2"):
        load_file(config / "celeryconfig.py")


def test_only_what_a_policy_cannot_change_is_declared(celeryconfig: ModuleType) -> None:
    queue = celeryconfig.make_queue({"queues": {"io": workers.make_queue("io")}}, "io")
    assert queue.queue_arguments == {"x-queue-type": "classic", "x-max-priority": 9}
    settings = workers.make_queue("io", type="quorum", max_priority=None)
    quorum = celeryconfig.make_queue({"queues": {"io": settings}}, "io")
    assert quorum.queue_arguments == {"x-queue-type": "quorum"}


def test_a_message_says_when_it_was_published(celeryconfig: ModuleType) -> None:
    properties: dict[str, object] = {}
    celeryconfig.stamp(properties=properties, sender="task")
    assert isinstance(properties["timestamp"], int)
    replayed = {"timestamp": 7}
    celeryconfig.stamp(properties=replayed)
    assert replayed == {"timestamp": 7}
