"""Each rule across objects: the hand-written release keeps all of them, each change below breaks one, by name."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.chart import invariants
from harness.chart.problems import WARNING
from tests.unit.chart import releases
from tests.unit.chart.releases import Manifest

Change = Callable[[list[Manifest]], Any]
IO, CPU, MIXED = (f"Deployment/celery-{name}-worker" for name in ("io", "cpu", "mixed"))
HPA, SCALED = "HorizontalPodAutoscaler/celery-io-worker", "ScaledObject/celery-cpu-worker"
CASES: list[tuple[str, str, Change]] = []


def breaks(rule: str, where: str) -> Callable[[Change], Change]:
    """Note a change of the good release that must break `rule`, with `where` in the problem's text."""

    def note(change: Change) -> Change:
        CASES.append((rule, where, change))
        return change

    return note


def pod(manifests: list[Manifest], reference: str) -> dict[str, Any]:
    spec: dict[str, Any] = releases.find(manifests, reference)["spec"]["template"]["spec"]
    return spec


def worker(manifests: list[Manifest], reference: str) -> dict[str, Any]:
    container: dict[str, Any] = pod(manifests, reference)["containers"][0]
    return container


def spec(manifests: list[Manifest], reference: str) -> dict[str, Any]:
    found: dict[str, Any] = releases.find(manifests, reference)["spec"]
    return found


def topology(rule: str, where: str, change: Callable[[dict[str, Any]], Any]) -> None:
    breaks(rule, where)(lambda manifests: releases.change_topology(manifests, change))


def simple(rule: str, where: str, change: Change) -> None:
    breaks(rule, where)(change)


def assign(target: dict[str, Any], **values: Any) -> None:
    target.update(values)


PRESENT = "topology-present"
simple(
    PRESENT, "0 ConfigMaps have it", lambda m: releases.find(m, "ConfigMap/celery-config")["data"].pop("topology.json")
)
simple(PRESENT, "2 ConfigMaps have it", lambda m: m.append(releases.config_map() | {"metadata": {"name": "other"}}))
simple(
    PRESENT,
    "it is no JSON",
    lambda m: assign(releases.find(m, "ConfigMap/celery-config")["data"], **{"topology.json": "{"}),
)
AGREE = "queues-and-classes-agree"
topology(AGREE, "queue 'gone' belongs to no class", lambda t: t["classes"]["io"]["queues"].append("gone"))
topology(AGREE, "queue 'pdf' belongs to cpu", lambda t: t["classes"]["io"]["queues"].append("pdf"))
topology(AGREE, "classes.mixed.queues: the class works on no queue", lambda t: assign(t["classes"]["mixed"], queues=[]))
topology(
    AGREE, "queues.lone.class: class 'io' does not work on it", lambda t: assign(t["queues"], lone=releases.queue("io"))
)
topology(
    AGREE,
    "default_queue: there is no queue 'x'; use one of cpu, io, mixed, pdf",
    lambda t: assign(t, default_queue="x"),
)
ROUTES = "routes-lead-to-queues"
topology(ROUTES, "routes[0].queue: there is no queue 'x'", lambda t: assign(t["routes"][0], queue="x"))
topology(ROUTES, "routes[0].priority: 10 is none; use 1 to 9", lambda t: assign(t["routes"][0], priority=10))
topology(ROUTES, "routes[0].priority: True is none", lambda t: assign(t["routes"][0], priority=True))
topology(ROUTES, "routes[0].priority: 8 counts as 5", lambda t: assign(t["queues"]["io"], max_priority=5))
topology(ROUTES, "priorities.bulk: 0 is none", lambda t: assign(t["priorities"], bulk=0))
topology(ROUTES, "routes[0].rollout.queue: there is no queue 'x'",
         lambda t: assign(t["routes"][0], rollout={"queue": "x", "percent": 5}))  # fmt: skip
topology(ROUTES, "routes[0].rollout.queue: io is the route's queue already",
         lambda t: assign(t["routes"][0], rollout={"queue": "io", "percent": 5}))  # fmt: skip
topology(ROUTES, "routes[0].rollout.percent: 101 is none",
         lambda t: assign(t["routes"][0], rollout={"queue": "pdf", "percent": 101}))  # fmt: skip
DEAD = "limited-queues-keep-dead-letters"
topology(
    DEAD,
    "queues.io: has max_length_messages and message_ttl_seconds but no",
    lambda t: assign(t["queues"]["io"], dead_letter_queue=None),
)
topology(DEAD, "'cpu' is a work queue", lambda t: assign(t["queues"]["io"], dead_letter_queue="cpu"))
topology(DEAD, "dead_letter_exchange: is not set", lambda t: assign(t, dead_letter_exchange=None))
topology("priorities-need-prefetch-1", "workers.io.prefetchMultiplier: 4 messages a slot are taken before",
         lambda t: assign(t["classes"]["io"], prefetch_multiplier=4))  # fmt: skip
topology("full-queue-outlives-ttl", "workers.mixed.queues.mixed.messageTtl: 1800 s are less than the 1875 s that 1000",
         lambda t: assign(t["classes"]["mixed"], expected_task_seconds=60))  # fmt: skip
QUEUE = {"apiVersion": "rabbitmq.com/v1beta1", "kind": "Queue", "metadata": {"name": "io"}, "spec": {"name": "io"}}
simple("queues-outlive-their-objects", "Queue/io spec.deletionPolicy: deletes the queue", lambda m: m.append(QUEUE))
FULL = "full-queues-refuse"
topology(FULL, "'drop-head' drops tasks", lambda t: assign(t["queues"]["io"], overflow="drop-head"))
topology(FULL, "None drops tasks", lambda t: assign(t["queues"]["io"], overflow=None))
topology(FULL, "quorum queue takes", lambda t: assign(t["queues"]["io"], type="quorum", overflow="reject-publish-dlx"))
topology("consumer-timeout-above-limits", "queues.io.consumer_timeout_seconds: 300 s, but a task may run for 300 s",
         lambda t: assign(t["queues"]["io"], consumer_timeout_seconds=300))  # fmt: skip

ONE = "one-deployment-a-class"
simple(ONE, "classes.mixed: 0 Deployments", lambda m: m.remove(releases.find(m, MIXED)))
simple(
    ONE,
    "classes.io: 2 Deployments",
    lambda m: m.append(
        releases.deployment("io") | {"metadata": {"name": "x", "labels": {"celery-workers/class": "io"}}}
    ),
)
topology(
    ONE,
    f"{MIXED} metadata.labels: topology.json has no class 'mixed'; use one of cpu, io",
    lambda t: t["classes"].pop("mixed"),
)
simple(ONE, "env CELERY_WORKERS_CLASS: is 'cpu'", lambda m: assign(worker(m, IO)["env"][0], value="cpu"))
ARGUMENTS = "arguments-agree-with-topology"
simple(
    ARGUMENTS,
    f"{CPU} args --queues: is 'cpu', topology.json says 'cpu,pdf'",
    lambda m: assign(worker(m, CPU), args=["worker", "--pool=prefork", "--concurrency=4", "--queues=cpu"]),
)
simple(ARGUMENTS, "args --pool: is missing", lambda m: worker(m, IO)["args"].remove("--pool=gevent"))
topology(
    ARGUMENTS,
    "args --concurrency: is '200', topology.json says '100'",
    lambda t: assign(t["classes"]["io"], concurrency=100),
)
GRACE = "grace-covers-longest-task"
simple(
    GRACE,
    f"{IO} spec.template.spec.terminationGracePeriodSeconds: 300 s end tasks that may run for 300 s; set at least 302",
    lambda m: assign(pod(m, IO), terminationGracePeriodSeconds=300),
)
simple(GRACE, "30 s end tasks that may run for 90 s", lambda m: pod(m, CPU).pop("terminationGracePeriodSeconds"))
simple(GRACE, "set at least 362", lambda m: assign(worker(m, IO), lifecycle={"preStop": {"sleep": {"seconds": 60}}}))
simple(GRACE, "is 400, topology.json says 330", lambda m: assign(pod(m, IO), terminationGracePeriodSeconds=400))
for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
    simple(
        "probes-present", f"{IO} container worker {probe}: is missing", lambda m, probe=probe: worker(m, IO).pop(probe)
    )
FIRST = "celery-is-first-process"
simple(FIRST, "starts with '/bin/sh'", lambda m: assign(worker(m, IO), command=["/bin/sh", "-c", "exec celery worker"]))
simple(FIRST, "is missing, so the image decides", lambda m: worker(m, IO).pop("command"))
BEAT, ONE_BEAT = "Deployment/celery-beat", "one-beat"
simple(ONE_BEAT, f"{BEAT} spec.replicas: is 2", lambda m: assign(spec(m, BEAT), replicas=2))
simple(ONE_BEAT, "starts a new beat beside the old one", lambda m: spec(m, BEAT).pop("strategy"))
simple(ONE_BEAT, "2 objects run celery beat", lambda m: m.append(releases.beat() | {"metadata": {"name": "other"}}))
simple(ONE_BEAT, f"{HPA}: scales celery beat", lambda m: assign(spec(m, HPA)["scaleTargetRef"], name="celery-beat"))
FILES = "config-files-exist"
simple(
    FILES,
    "ConfigMap celery-config does not have",
    lambda m: releases.find(m, "ConfigMap/celery-config")["data"].pop("apply_topology.py"),
)
simple(
    FILES,
    "celery_workers_health.py is run from ConfigMap 'other'",
    lambda m: assign(pod(m, IO)["volumes"][0]["configMap"], name="other"),
)

simple(
    "scale-target-exists",
    f"{HPA} spec.scaleTargetRef: the release has no Deployment/x",
    lambda m: assign(spec(m, HPA)["scaleTargetRef"], name="x"),
)
simple(
    "one-scaler-an-object",
    f"{IO}: is scaled by {HPA} and {SCALED}",
    lambda m: assign(spec(m, SCALED), scaleTargetRef={"name": "celery-io-worker"}),
)
simple("replicas-owned-by-scaler", f"{CPU} spec.replicas: {SCALED} owns", lambda m: assign(spec(m, CPU), replicas=1))
BOUNDS = "replica-bounds"
simple(BOUNDS, f"{HPA} spec: the minimum 6 is above the maximum 5", lambda m: assign(spec(m, HPA), minReplicas=6))
simple(BOUNDS, "minimum or maximum of replicas is missing", lambda m: spec(m, HPA).pop("maxReplicas"))
simple(BOUNDS, "the maximum is 0", lambda m: assign(spec(m, SCALED), maxReplicaCount=0))
simple(BOUNDS, "nothing would wake 0 pods", lambda m: assign(spec(m, HPA), minReplicas=0))
simple(BOUNDS, "nothing would wake 0 pods", lambda m: assign(spec(m, SCALED), triggers=spec(m, SCALED)["triggers"][2:]))
REQUESTS = "utilization-has-requests"
simple(
    REQUESTS,
    f"{IO} container worker resources.requests.memory: {HPA} scales on a share",
    lambda m: worker(m, IO)["resources"]["requests"].pop("memory"),
)
simple(REQUESTS, f"{CPU} container worker resources.requests.cpu", lambda m: worker(m, CPU).pop("resources"))
simple(
    REQUESTS,
    "container side resources.requests.cpu",
    lambda m: pod(m, IO)["containers"].append({"name": "side", "securityContext": dict(releases.SECURITY)}),
)
SAID = "scaling-agrees-with-topology"
topology(
    SAID, "classes.io.scaler: says keda, the manifests have hpa", lambda t: assign(t["classes"]["io"], scaler="keda")
)
topology(
    SAID,
    "classes.cpu.replicas: says 0 to 9, the manifests 0 to 3",
    lambda t: assign(t["classes"]["cpu"], replicas={"min": 0, "max": 9}),
)
simple(SAID, "classes.mixed.replicas: says 2 to 2, the manifests 4 to 4", lambda m: assign(spec(m, MIXED), replicas=4))
BEHAVIOR = "behavior-within-bounds"
simple(
    BEHAVIOR,
    f"{HPA} spec.behavior.scaleUp.policies[0].periodSeconds: is 1801; use 1 to 1800",
    lambda m: assign(spec(m, HPA)["behavior"]["scaleUp"]["policies"][0], periodSeconds=1801),
)
simple(
    BEHAVIOR, "policies[0].value: is 0", lambda m: assign(spec(m, HPA)["behavior"]["scaleUp"]["policies"][0], value=0)
)
simple(
    BEHAVIOR,
    "scaleDown.stabilizationWindowSeconds: is 3601",
    lambda m: assign(spec(m, HPA)["behavior"]["scaleDown"], stabilizationWindowSeconds=3601),
)
simple(BEHAVIOR, "selectPolicy: is 'Most'", lambda m: assign(spec(m, HPA)["behavior"]["scaleUp"], selectPolicy="Most"))
simple(
    BEHAVIOR,
    f"{SCALED} spec.advanced.horizontalPodAutoscalerConfig.behavior.scaleUp.policies: is empty",
    lambda m: assign(spec(m, SCALED)["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]["scaleUp"], policies=[]),
)
simple(
    BEHAVIOR,
    "policies[0].type: is 'Pod'",
    lambda m: assign(spec(m, HPA)["behavior"]["scaleUp"]["policies"][0], type="Pod"),
)
simple(
    "one-target-a-metric",
    f"{HPA} spec: cpu is targeted 2 times",
    lambda m: spec(m, HPA)["metrics"].append(copy.deepcopy(spec(m, HPA)["metrics"][0])),
)
KEDA = "keda-references-exist"
simple(
    KEDA,
    f"{SCALED} spec.triggers[0].metadata.queueName: there is no queue 'x'",
    lambda m: assign(spec(m, SCALED)["triggers"][0]["metadata"], queueName="x"),
)
simple(
    KEDA,
    "the release has no TriggerAuthentication/celery-broker",
    lambda m: m.remove(releases.find(m, "TriggerAuthentication/celery-broker")),
)
topology("poison-tasks-end", "redis.existingSecret: a classic queue (io) does not count",
         lambda t: assign(t["queues"]["io"], max_deliveries=5))  # fmt: skip
WITHIN = "keda-within-bounds"
CRON = {"type": "cron", "name": "exams", "metadata": {"desiredReplicas": "4"}}
simple(WITHIN, f"{SCALED} spec.triggers[3].metadata.desiredReplicas: 4 is above the maximum 3",
       lambda m: spec(m, SCALED)["triggers"].append(CRON))  # fmt: skip
simple(WITHIN, "spec.fallback.replicas: 4 is above", lambda m: assign(spec(m, SCALED), fallback={"replicas": 4}))
simple(WITHIN, "2 are called exams", lambda m: spec(m, SCALED)["triggers"].extend([CRON, CRON]))
DEPTH = "queue-depth-reachable"
simple(DEPTH, "3 is less than the 4 messages", lambda m: assign(spec(m, SCALED)["triggers"][0]["metadata"], value="3"))
simple(
    DEPTH,
    "267 a pod ask for pod 3 only when queue cpu is over 80 % full; set at most 266",
    lambda m: assign(spec(m, SCALED)["triggers"][0]["metadata"], value="267"),
)
BUDGET, MIXED_BUDGET = "disruption-budget-lets-drain", "PodDisruptionBudget/celery-mixed-worker"
simple(BUDGET, "0 blocks every node drain", lambda m: assign(spec(m, MIXED_BUDGET), maxUnavailable=0))
simple(BUDGET, "selects no pod", lambda m: assign(spec(m, MIXED_BUDGET), selector={"matchLabels": {"x": "y"}}))
simple(BUDGET, "2 of at least 2 pods blocks every node drain", lambda m: assign(spec(m, MIXED_BUDGET), minAvailable=2))

NETWORK, LEAVES = "NetworkPolicy/celery-pods", "network-policy-leaves-broker"
simple("network-policy-selects-pods", "selects no pod of the release",
       lambda m: assign(spec(m, NETWORK), podSelector={"matchLabels": {"x": "y"}}))  # fmt: skip
simple(
    LEAVES, f"{IO} NetworkPolicy egress: no policy lets the pods ask DNS", lambda m: spec(m, NETWORK)["egress"].pop(0)
)
simple(LEAVES, "no policy lets the pods reach the broker", lambda m: assign(spec(m, NETWORK), egress=[]))
simple("network-policy-leaves-services", "envFrom names services, but only DNS, the broker", lambda m: (
    spec(m, NETWORK)["egress"].pop(),
    assign(worker(m, IO), envFrom=[{"secretRef": {"name": "services"}}]),
))  # fmt: skip

simple("unique-names", f"{IO}: is rendered 2 times", lambda m: m.append(releases.deployment("io")))
SELECTORS = "selectors-own-pods"
simple(SELECTORS, "does not select its own pods", lambda m: assign(spec(m, IO), selector={"matchLabels": {"x": "y"}}))
simple(
    SELECTORS,
    f"{IO} spec.selector: selects the pods of {CPU} too",
    lambda m: assign(spec(m, IO), selector={"matchLabels": {"app.kubernetes.io/instance": "celery"}}),
)
simple(SELECTORS, "lacks the label celery-workers/class: io", lambda m: (
    assign(spec(m, IO), selector={"matchLabels": {"own": "io"}}),
    assign(spec(m, IO)["template"]["metadata"]["labels"], own="io"),
))  # fmt: skip
POD = "pod-security-restricted"
simple(POD, f"{IO} hostNetwork: shares the node's namespace", lambda m: assign(pod(m, IO), hostNetwork=True))
simple(
    POD,
    "automountServiceAccountToken: mounts",
    lambda m: pod(m, "Job/celery-topology").pop("automountServiceAccountToken"),
)
simple(
    POD,
    "volume data: type hostPath is not allowed",
    lambda m: pod(m, IO)["volumes"].append({"name": "data", "hostPath": {"path": "/"}}),
)
simple(
    POD,
    "securityContext.runAsNonRoot: may run as root",
    lambda m: assign(worker(m, IO)["securityContext"], runAsNonRoot=False),
)
simple(POD, "securityContext.runAsUser: is root", lambda m: assign(pod(m, IO)["securityContext"], runAsUser=0))
simple(POD, "seccompProfile: lets every", lambda m: pod(m, IO)["securityContext"].pop("seccompProfile"))
simple(
    POD,
    "allowPrivilegeEscalation: is not false",
    lambda m: worker(m, IO)["securityContext"].pop("allowPrivilegeEscalation"),
)
simple(POD, "privileged: gives", lambda m: assign(worker(m, IO)["securityContext"], privileged=True))
simple(POD, "procMount: is 'Unmasked'", lambda m: assign(worker(m, IO)["securityContext"], procMount="Unmasked"))
simple(
    POD,
    "capabilities.drop: keeps",
    lambda m: assign(worker(m, IO)["securityContext"], capabilities={"drop": ["CHOWN"]}),
)
simple(
    POD,
    "capabilities.add: adds SYS_ADMIN",
    lambda m: assign(worker(m, IO)["securityContext"], capabilities={"drop": ["ALL"], "add": ["SYS_ADMIN"]}),
)
simple(
    POD,
    "readOnlyRootFilesystem: is not true",
    lambda m: assign(worker(m, IO)["securityContext"], readOnlyRootFilesystem=False),
)
simple(POD, "takes the node's port 80", lambda m: assign(worker(m, IO), ports=[{"containerPort": 80, "hostPort": 80}]))
simple(
    POD,
    "container setup securityContext.runAsNonRoot",
    lambda m: assign(
        pod(m, IO), initContainers=[{"name": "setup", "securityContext": releases.SECURITY | {"runAsNonRoot": False}}]
    ),
)
simple(
    "service-account-rendered",
    "serviceAccountName: is admin, rendered is celery",
    lambda m: assign(pod(m, IO), serviceAccountName="admin"),
)
LOWERED = "priority-only-lowered"
LOW = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "low"}, "value": -10}
simple(LOWERED, "PriorityClass/low value: 1 takes nodes", lambda m: m.append(LOW | {"value": 1}))
simple(LOWERED, "globalDefault: changes pods", lambda m: m.append(LOW | {"globalDefault": True}))
RESOURCES = "requests-within-limits"
simple(
    RESOURCES,
    "resources.requests.memory: 3Gi is above the limit 2Gi",
    lambda m: assign(worker(m, IO)["resources"]["requests"], memory="3Gi"),
)
simple(
    RESOURCES,
    "resources.limits.cpu: '1 core' is none",
    lambda m: assign(worker(m, IO)["resources"]["limits"], cpu="1 core"),
)
SECRETS = "secrets-by-reference"
simple(
    SECRETS,
    "Secret/x: a Secret in the manifests",
    lambda m: m.append({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x"}}),
)
simple(
    SECRETS,
    "env CELERY_BROKER_URL: a password in plain text",
    lambda m: assign(worker(m, IO)["env"][1], value="amqp://user:pass@host//"),
)
simple(
    SECRETS, "env DB_PASSWORD: a password", lambda m: worker(m, IO)["env"].append({"name": "DB_PASSWORD", "value": "x"})
)
simple(SECRETS, "args[0]: a password", lambda m: assign(worker(m, IO), args=["--broker-url=amqp://user:pass@host//"]))
simple(SECRETS, "command[1]: a password", lambda m: assign(worker(m, IO), command=["x", "--api-key=abc"]))
CLUSTER = {
    "apiVersion": "rabbitmq.com/v1beta1", "kind": "RabbitmqCluster", "metadata": {"name": "x"},
    "spec": {"rabbitmq": {"additionalConfig": "vm_memory_high_watermark.relative = 0.7\ndefault_pass = word\n"}},
}  # fmt: skip
simple(SECRETS, "RabbitmqCluster/x spec.rabbitmq.additionalConfig: a password", lambda m: m.append(CLUSTER))


def test_the_good_release_keeps_every_rule() -> None:
    assert invariants.check(releases.release()) == []


@pytest.mark.parametrize(("rule", "where", "change"), CASES, ids=[f"{rule}-{where[:40]}" for rule, where, _ in CASES])
def test_a_change_that_breaks_a_rule_is_reported(rule: str, where: str, change: Change) -> None:
    manifests = releases.release()
    change(manifests)
    found = [problem for problem in invariants.check(manifests) if problem.rule == rule]
    assert any(where in problem.text() for problem in found), [problem.text() for problem in found]
    assert all(problem.message and problem.fix and problem.path for problem in found)


def test_every_rule_has_a_rejected_example_and_says_what_it_is_for() -> None:
    ids = [rule.id for rule in invariants.RULES]
    assert {rule for rule, _, _ in CASES} == set(ids)
    assert len(ids) == len(set(ids))
    assert all(rule.title for rule in invariants.RULES)


def test_a_queue_depth_out_of_range_is_a_warning_only() -> None:
    manifests = releases.release()
    spec(manifests, SCALED)["triggers"][0]["metadata"]["value"] = "3"
    assert {problem.severity for problem in invariants.check(manifests)} == {WARNING}


def test_deliveries_are_counted_by_redis_or_a_quorum_queue() -> None:
    manifests = releases.release()
    releases.change_topology(manifests, lambda t: assign(t["queues"]["io"], max_deliveries=5))
    assert {problem.severity for problem in invariants.check(manifests)} == {WARNING}
    reference = {"secretKeyRef": {"name": "shared", "key": "redisUrl"}}
    worker(manifests, IO)["env"].append({"name": "CELERY_WORKERS_REDIS_URL", "valueFrom": reference})
    assert invariants.check(manifests) == []
    worker(manifests, IO)["env"].pop()
    releases.change_topology(manifests, lambda t: assign(t["queues"]["io"], type="quorum", max_priority=None))
    assert invariants.check(manifests) == []


@pytest.mark.parametrize(
    "rule", [{}, {"to": []}, {"ports": [{"port": 1, "endPort": 65535}]}, {"ports": [{"port": "x"}]}]
)
def test_a_rule_for_all_ports_leaves_workers_everything(rule: dict[str, Any]) -> None:
    manifests = releases.release()
    worker(manifests, IO)["envFrom"] = [{"secretRef": {"name": "services"}}]
    spec(manifests, NETWORK)["egress"] = [rule]
    assert invariants.check(manifests) == []


def test_what_may_be_meant_is_a_warning_only() -> None:
    manifests = releases.release()
    releases.change_topology(manifests, lambda t: t["classes"]["io"].update(prefetch_multiplier=2))
    releases.change_topology(manifests, lambda t: t["classes"]["cpu"].update(expected_task_seconds=100))
    found = invariants.check(manifests)
    assert {(problem.rule, problem.severity) for problem in found} == {
        ("priorities-need-prefetch-1", WARNING),
        ("full-queue-outlives-ttl", WARNING),
    }


def test_what_is_accepted_beside_the_good_release() -> None:
    manifests = releases.release()
    releases.change_topology(manifests, lambda t: t["queues"]["io"].update(overflow="reject-publish-dlx"))
    releases.change_topology(manifests, lambda t: t["queues"]["mixed"].update(
        max_length_messages=None, message_ttl_seconds=None, dead_letter_queue=None, overflow=None,
        consumer_timeout_seconds=None))  # fmt: skip
    worker(manifests, IO)["args"] = ["worker", "--pool", "gevent", "--concurrency", "200", "--queues", "io"]
    pod(manifests, IO)["volumes"].append({"name": "mine", "configMap": {"name": "made-by-the-user"}})
    worker(manifests, IO)["volumeMounts"].append({"name": "mine", "mountPath": "/data"})
    worker(manifests, IO)["env"].append({"name": "SITE_URL", "value": "https://example.com/a@b"})
    worker(manifests, IO)["env"].append({"name": "BROKER", "value": "http://$(BROKER_USER):$(BROKER_WORD)@host"})
    assert invariants.check(manifests) == []


def test_environment_dev_may_render_its_public_password() -> None:
    manifests = [*releases.release(), {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x"}}]
    releases.change_topology(manifests, lambda t: t.update(environment="dev"))
    assert invariants.check(manifests) == []


def paths(value: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [here, *(path for key, child in inner for path in paths(child, (*here, key)))]


PLACES = [path for path in paths(releases.release()) if path]
junk = st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.just([]) | st.just({}) | st.just([None])


@settings(max_examples=3 * settings.default.max_examples)
@given(st.lists(st.tuples(st.sampled_from(PLACES), junk), min_size=1, max_size=4))
def test_malformed_objects_never_raise(changes: list[tuple[tuple[Any, ...], Any]]) -> None:
    manifests: Any = releases.release()
    for path, value in changes:
        if len(path) > 1:
            replace(manifests, path, copy.deepcopy(value))
    for problem in invariants.check(manifests):
        assert problem.text()


TOPOLOGY_PLACES = [path for path in paths(releases.topology()) if path]


@settings(max_examples=3 * settings.default.max_examples)
@given(st.lists(st.tuples(st.sampled_from(TOPOLOGY_PLACES), junk), min_size=1, max_size=4))
def test_a_malformed_topology_never_raises(changes: list[tuple[tuple[Any, ...], Any]]) -> None:
    manifests = releases.release()
    for path, value in changes:
        releases.change_topology(manifests, lambda t, path=path, value=value: replace(t, path, copy.deepcopy(value)))
    for problem in invariants.check(manifests):
        assert problem.text()


def replace(target: Any, path: tuple[Any, ...], value: Any) -> None:
    try:
        for key in path[:-1]:
            target = target[key]
        target[path[-1]] = value
    except (KeyError, IndexError, TypeError):
        return  # an earlier change took the place away
