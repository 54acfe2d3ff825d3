"""validate on the real chart: what is shipped is usable; bad input is told where it stands and how to mend it."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.chart import kubernetes_schema
from harness.chart.problems import WARNING, Problem
from harness.chart.render import environment_files
from harness.chart.validate import Report, validate
from tests.golden import refresh

WIDE = (
    "prod",
    "dev",
    "staging",
    "uat",
    "baseline",
    "prod,keda",
    "uat,keda",
    "staging,keda",
    "dev,local",
    "dev,local,keda",
)


def check(tmp_path: Path, text: str, environments: str = "prod") -> Report:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    return validate([*environment_files(environments), path])


def problems(report: Report) -> list[Problem]:
    """Return what is wrong, but that there is no Redis: what is shipped installs without one, and is warned of it."""
    return [problem for problem in report.problems if problem.rule != "poison-tasks-end"]


@pytest.mark.parametrize("environments", sorted({*WIDE, *refresh.cases().values()}))
def test_what_is_shipped_is_usable_without_a_warning(environments: str) -> None:
    report = validate(environment_files(environments))
    assert [problem.text() for problem in problems(report)] == []
    assert report.ok
    assert {check.status for check in report.checks} == {"passed"}


@pytest.mark.parametrize("name", refresh.features())
def test_every_feature_is_usable(name: str) -> None:
    report = validate(refresh.features()[name])
    assert [problem.text() for problem in problems(report)] == []


def test_without_redis_nobody_counts_deliveries_and_one_warning_says_so(tmp_path: Path) -> None:
    (warning,) = check(tmp_path, "{}").problems
    assert (warning.path, warning.severity) == ("redis.existingSecret", WARNING)
    assert "(cpu, io, mixed)" in warning.message
    assert check(tmp_path, "redis: {existingSecret: celery-redis}").problems == ()


def test_the_report_says_what_was_checked() -> None:
    report = validate(environment_files("prod,keda"))
    subjects = {check.name: check.subject for check in report.checks}
    assert list(subjects) == ["values", "chart rules", "kubernetes", "keda", "invariants"]
    newest = kubernetes_schema.supported_versions()[-1]
    assert subjects["kubernetes"].endswith(f"Kubernetes 1.29 to {newest}, strict")
    assert report.objects["ScaledObject"] == 3
    document = report.to_dict()
    assert document["ok"] is True
    assert document["checks"][0]["problems"] == []


BAD: list[tuple[str, str, str, str]] = [
    # what, values, key path with line, part of message or fix
    ("unknown key", "workers:\n  io:\n    concurency: 3\n", "workers.io.concurency:3", "did you mean concurrency?"),
    ("unknown top key", "worker: {}\n", "worker:1", "did you mean workers?"),
    ("wrong type", "workers:\n  io:\n    concurrency: many\n", "workers.io.concurrency:3", "must be a whole number"),
    ("unknown pool", "workers: {io: {pool: gevnt}}\n", "workers.io.pool:1", "did you mean gevent?"),
    ("soft on gevent", "workers:\n  io:\n    timeLimits:\n      soft: 2m\n", "workers.io.timeLimits.soft:4",
     "only a prefork pool has a soft limit; set null, or pool prefork"),
    ("limit on threads", "workers: {mixed: {timeLimits: {hard: 2m}}}\n", "workers.mixed.timeLimits.hard:1",
     "only a prefork or gevent pool can stop a task"),
    ("min > max", "workers:\n  io:\n    replicas: {min: 9}\n", "workers.io.replicas.min:3",
     "raise max or lower min"),
    ("unknown queue", "routes:\n  - tasks: [a]\n    queue: fast\n", "routes[0].queue:3", "use one of cpu, io, mixed"),
    ("short grace", "workers: {io: {terminationGracePeriodSeconds: 30}}\n",
     "workers.io.terminationGracePeriodSeconds:1", "set at least 330"),
    ("password in a sidecar",
     "workers:\n  io:\n    sidecars:\n      - name: side\n        image: side:1\n"
     "        env: [{name: API_TOKEN, value: abc}]\n        resources: {requests: {cpu: 1m, memory: 1Mi}}\n",
     "workers.io.sidecars[0].env[0].value:6", "with valueFrom.secretKeyRef"),
    ("password in an argument",
     "workers:\n  io:\n    sidecars:\n      - name: side\n        image: side:1\n"
     "        args: ['--broker-url=amqp://user:word@host']\n"
     "        resources: {requests: {cpu: 1m, memory: 1Mi}}\n",
     "workers.io.sidecars[0].args[0]:6", "take it from a Secret as a variable"),
    ("latest placeholder", "workers: {io: {headroom: {replicas: 1}}}\nheadroom: {image: {tag: latest}}\n",
     "headroom.image.tag:2", "set a tag that is never moved"),
    ("bad duration", "workers: {io: {timeLimits: {hard: 5 min}}}\n", "workers.io.timeLimits.hard:1", "5 min"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "where", "say"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_bad_values_name_key_file_line_and_fix(tmp_path: Path, text: str, where: str, say: str) -> None:
    report = check(tmp_path, text)
    assert not report.ok
    key, _, line = where.rpartition(":")
    found = [problem for problem in report.problems if problem.path == key]
    assert found, [problem.text() for problem in report.problems]
    assert str(found[0].source).endswith(f"mine.yaml:{line}")
    assert say in found[0].text()


WARNED: list[tuple[str, str, str, str]] = [
    # what, values, key path, part of message or fix
    ("expires in a full queue", "workers: {mixed: {expectedTaskSeconds: 60}}\n",
     "workers.mixed.queues.mixed.messageTtl",
     "3600 s are less than the 3750 s that 2000 waiting tasks of 60 s take on 32 slots"),
    ("prefetch with priorities", "workers: {io: {prefetchMultiplier: 4}}\n", "workers.io.prefetchMultiplier",
     "4 messages a slot are taken before a more urgent one on io is seen; set 1"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "where", "say"), [row[1:] for row in WARNED], ids=[row[0] for row in WARNED])
def test_what_may_be_meant_is_told_by_its_key_as_a_warning(tmp_path: Path, text: str, where: str, say: str) -> None:
    report = check(tmp_path, text)
    assert report.ok
    (problem,) = problems(report)
    assert (problem.path, problem.severity) == (where, WARNING)
    assert say in problem.text()


def test_rules_are_told_beside_what_the_schema_refuses(tmp_path: Path) -> None:
    report = check(
        tmp_path,
        "workers:\n  io:\n    concurrency: many\n    replicas: {min: 9}\n  cpu: {poool: 3}\n"
        "routes:\n  - {tasks: [a], queue: fast}\n  - {tasks: [], queue: fast}\n",
    )
    found = {(problem.path, problem.rule) for problem in report.problems}
    assert found == {
        ("workers.io.concurrency", "values-schema"),
        ("workers.cpu.poool", "values-schema"),
        ("routes[1].tasks", "values-schema"),
        ("workers.io.replicas.min", "chart-rules"),
        ("routes[0].queue", "chart-rules"),
    }
    assert all(problem.source and problem.fix for problem in report.problems)
    assert report.checks[1].subject.endswith("with defaults for what the schema refused")
    schema_only = check(tmp_path, "workers: {io: {concurrency: many}}\n")
    assert [(found.name, found.status) for found in schema_only.checks] == [
        ("values", "failed"),
        ("chart rules", "passed"),
    ]


def test_unreadable_yaml_is_a_problem_of_the_report(tmp_path: Path) -> None:
    report = check(tmp_path, "app: a\napp: b\n")
    assert not report.ok
    (problem,) = report.problems
    assert problem.rule == "yaml"
    assert "mine.yaml:2: key 'app' is given twice, first on line 1" in problem.message
    missing = validate([tmp_path / "nowhere.yaml"])
    assert "no such file" in missing.problems[0].message


def test_what_only_the_objects_show_is_found(tmp_path: Path) -> None:
    """Schema-free corners of the values reach Kubernetes' schemas and the rules across objects."""
    report = check(
        tmp_path,
        "workers:\n  io:\n    volumes: [{name: host, hostPath: {path: /}}]\n"
        "    tolerations: [{key: a, operatr: Exists}]\n",
    )
    rules = {problem.rule for problem in report.problems}
    assert {"pod-security-restricted", "kubernetes-schema"} <= rules
    (field,) = [problem for problem in report.problems if problem.rule == "kubernetes-schema"]
    assert field.path == "Deployment/celery-io-worker spec.template.spec.tolerations[0]"
    assert "operatr" in field.message


def test_a_queue_depth_below_the_concurrency_is_refused(tmp_path: Path) -> None:
    report = check(tmp_path, "workers: {io: {targets: {queueDepth: 3}}}\n", "prod,keda")
    (problem,) = report.problems
    assert (problem.path, problem.fix) == ("workers.io.targets.queueDepth", "set at least 200")


def test_a_fourth_class_by_values_alone(tmp_path: Path) -> None:
    report = check(
        tmp_path,
        "workers:\n  reports:\n    pool: prefork\n    concurrency: 2\n    scaler: hpa\n    replicas: {min: 1, max: 3}\n"
        "    targets: {cpuUtilization: 60}\n    queues: {reports: {maxPriority: 9, maxLength: 100, messageTtl: 1h}}\n"
        "    timeLimits: {soft: 50s, hard: 1m}\n    resources: {requests: {cpu: 500m, memory: 512Mi}}\n",
    )
    assert [problem.text() for problem in problems(report)] == []
    assert report.objects["Deployment"] == 4
    assert report.objects["HorizontalPodAutoscaler"] == 4


def test_a_class_can_be_left_out_with_its_routes() -> None:
    alone = validate(environment_files("prod"), set_values={"workers.cpu": None, "workers.mixed": None, "routes": []})
    assert [problem.text() for problem in problems(alone)] == []
    assert alone.objects["Deployment"] == 1
    routed = validate(environment_files("prod"), set_values={"workers.cpu": None})
    assert not routed.ok
    assert {problem.message.partition(";")[0] for problem in routed.problems} == {'no class has a queue "cpu"'}
