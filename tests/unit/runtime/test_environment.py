"""A container's environment, arguments and paths."""

from __future__ import annotations

from typing import Any

import pytest

from harness.errors import InputError
from harness.runtime.local.environment import (
    Identity,
    Machine,
    PathMap,
    Resolver,
    Sources,
    argument_list,
    base_environment,
    expand,
    field_value,
    with_checkout,
)

MOUNTS = PathMap({"/etc/celery-workers": "/pods/p/config", "/tmp": "/pods/p/tmp", "/etc": "/pods/p/etc"})


def resolver(**changes: Any) -> Resolver:
    settings: dict[str, Any] = {
        "where": "Deployment io: container worker",
        "sources": Sources(
            config_maps={"settings": {"LEVEL": b"INFO", "STATE": b"/tmp/state"}},
            secrets={"broker": {"amqpUrl": b"amqp://user:pass@127.0.0.1:5672//", "DIR": b"/tmp/real"}},
        ),
        "identity": Identity("io-abc-x", "default", "u-1", labels={"team": "mail"}, annotations={"note": "n"}),
        "machine": Machine(cpu_cores=8, memory_bytes=16 * 2**30),
        "paths": MOUNTS,
    }
    return Resolver(**{**settings, **changes})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("io@$(POD_NAME)", "io@pod-1"),
        ("$(MISSING)", "$(MISSING)"),
        ("$$(POD_NAME)", "$(POD_NAME)"),
        ("$$$(POD_NAME)", "$pod-1"),
        ("cost 5$ or $x", "cost 5$ or $x"),
        ("$(POD_NAME", "$(POD_NAME"),
    ],
)
def test_variables_expand_as_kubernetes_does(text: str, expected: str) -> None:
    assert expand(text, {"POD_NAME": "pod-1"}) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/etc/celery-workers", "/pods/p/config"),
        ("/etc/celery-workers/a.py", "/pods/p/config/a.py"),
        ("--state=/tmp/s.db", "--state=/pods/p/tmp/s.db"),
        ("/opt/lib:/etc/celery-workers:/tmp", "/opt/lib:/pods/p/config:/pods/p/tmp"),
        ("test -f /tmp/ready && cat </etc/motd", "test -f /pods/p/tmp/ready && cat </pods/p/etc/motd"),
        ("file:///tmp/x", "file:///pods/p/tmp/x"),
        ("sqlite:////tmp/x.db", "sqlite:////pods/p/tmp/x.db"),
        ('{"dir": "/tmp"}', '{"dir": "/pods/p/tmp"}'),
    ],
)
def test_mount_paths_are_rewritten(text: str, expected: str) -> None:
    assert MOUNTS.rewrite(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "/etc-other/x",
        "/tmpfile",
        "/tmp.bak",
        "/var/tmp/x",
        "http://tmp/x",
        "amqp://u:p@host:5672//tmp",
        "relative/tmp/x",
    ],
)
def test_what_only_looks_like_a_mount_path_stays(text: str) -> None:
    assert MOUNTS.rewrite(text) == text


def test_no_mounts_change_nothing() -> None:
    assert PathMap({}).rewrite("/tmp/x") == "/tmp/x"


def test_later_entries_see_earlier_ones_and_win_over_env_from() -> None:
    container = {
        "envFrom": [{"configMapRef": {"name": "settings"}}, {"prefix": "B_", "secretRef": {"name": "broker"}}],
        "env": [
            {"name": "LEVEL", "value": "DEBUG"},
            {"name": "TEXT", "value": "$(LEVEL) $(B_amqpUrl) $(LATER)"},
            {"name": "LATER", "value": "x"},
            {"name": "EMPTY"},
        ],
    }
    environment = resolver().environment(container, base={"PATH": "/bin"})
    assert environment["PATH"] == "/bin"
    assert environment["LEVEL"] == "DEBUG"
    assert environment["TEXT"] == "DEBUG amqp://user:pass@127.0.0.1:5672// $(LATER)"
    assert environment["EMPTY"] == ""
    assert environment["STATE"] == "/pods/p/tmp/state"


def test_paths_out_of_a_secret_are_this_machines_and_stay() -> None:
    container = {
        "envFrom": [{"secretRef": {"name": "broker"}}],
        "env": [{"name": "ONE", "valueFrom": {"secretKeyRef": {"name": "broker", "key": "DIR"}}}],
    }
    environment = resolver().environment(container, base={})
    assert environment["DIR"] == environment["ONE"] == "/tmp/real"


def test_optional_references_leave_the_variable_out() -> None:
    container = {
        "envFrom": [{"secretRef": {"name": "absent", "optional": True}}],
        "env": [
            {"name": "A", "valueFrom": {"secretKeyRef": {"name": "absent", "key": "k", "optional": True}}},
            {"name": "B", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "k", "optional": True}}},
        ],
    }
    assert resolver().environment(container, base={}) == {}


@pytest.mark.parametrize(
    ("container", "message"),
    [
        (
            {"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "broker", "key": "no"}}}]},
            "Secret broker has no key no",
        ),
        (
            {"env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "none", "key": "k"}}}]},
            "ConfigMap none (key k) is not there",
        ),
        ({"envFrom": [{"secretRef": {"name": "none"}}]}, "Secret none is not there"),
        ({"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "spec.hostNetwork"}}}]}, "spec.hostNetwork"),
        ({"env": [{"name": "A", "valueFrom": {"fileKeyRef": {"path": "x"}}}]}, "valueFrom.fileKeyRef"),
        (
            {"env": [{"name": "A", "valueFrom": {"resourceFieldRef": {"resource": "limits.gpu"}}}]},
            "resourceFieldRef limits.gpu",
        ),
    ],
)
def test_a_broken_reference_names_itself_and_its_container(container: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        resolver().environment(container, base={})
    assert message in str(caught.value)
    assert "Deployment io: container worker" in str(caught.value)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("metadata.name", "io-abc-x"),
        ("metadata.namespace", "default"),
        ("metadata.uid", "u-1"),
        ("metadata.labels['team']", "mail"),
        ("metadata.annotations['note']", "n"),
        ("metadata.labels['none']", ""),
        ("status.podIP", "127.0.0.1"),
        ("spec.serviceAccountName", "default"),
    ],
)
def test_fields(path: str, expected: str) -> None:
    assert field_value(path, resolver().identity, where="x") == expected


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ({"resource": "requests.cpu"}, "1"),  # 200m, rounded up to whole cores
        ({"resource": "requests.cpu", "divisor": "1m"}, "200"),
        ({"resource": "limits.memory", "divisor": "1Mi"}, "4096"),
        ({"resource": "limits.cpu"}, "8"),  # not set: the machine's
        ({"resource": "requests.memory"}, "0"),
        ({"resource": "limits.cpu", "divisor": "0"}, "8"),
    ],
)
def test_resources(reference: dict[str, str], expected: str) -> None:
    container = {
        "resources": {"requests": {"cpu": "200m"}, "limits": {"memory": "4Gi"}},
        "env": [{"name": "R", "valueFrom": {"resourceFieldRef": reference}}],
    }
    assert resolver().environment(container, base={}) == {"R": expected}


def test_arguments_are_rewritten_and_expanded_but_not_what_a_variable_brings() -> None:
    container = {"command": ["celery"], "args": ["--dir=/tmp", "--real=$(DIR)", "--n=$(POD)"]}
    arguments = argument_list(container, {"DIR": "/tmp/real", "POD": "p"}, MOUNTS)
    assert arguments == ("celery", "--dir=/pods/p/tmp", "--real=/tmp/real", "--n=p")


def test_nothing_of_the_caller_leaks_but_the_documented_list() -> None:
    caller = {"HOME": "/root", "AWS_SECRET": "x", "TZ": "UTC", "PYTHONPATH": "/y", "CELERY_BROKER_URL": "z"}
    base = base_environment(python_bin="/venv/bin", home="/h", temporary="/t", hostname="pod", caller=caller)
    assert base["PATH"].startswith("/venv/bin:")
    assert base["HOME"] == "/h"
    assert set(base) == {"PATH", "HOME", "TMPDIR", "HOSTNAME", "LANG", "TZ"}


def test_the_checkout_comes_last_on_the_python_path() -> None:
    assert with_checkout({"PYTHONPATH": "/a"}, "/repo")["PYTHONPATH"] == "/a:/repo"
    assert with_checkout({}, "/repo")["PYTHONPATH"] == "/repo"
