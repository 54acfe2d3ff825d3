"""Rules about what changes the number of pods: HorizontalPodAutoscalers, ScaledObjects, disruption budgets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from harness.chart.manifests import (
    SCALER_KINDS,
    Manifest,
    Release,
    containers,
    get,
    integer,
    items,
    mapping,
    matches,
    pod_spec,
    pod_template,
    quantity,
    ref,
    scale_bounds,
    scale_target,
    text,
)
from harness.chart.problems import WARNING, Problem

# The API server's own bounds (autoscaling/v2); its published schemas leave them out.
MAX_PERIOD_SECONDS = 1800
MAX_STABILIZATION_SECONDS = 3600
# A queue more than four fifths full refuses the next burst before the last pod has come.
FULL_SHARE = 0.8
_RESOURCES = ("cpu", "memory")


def targets(release: Release) -> Iterator[Problem]:
    """A scaler's target is an object of the release."""
    for scaler in release.of_kind(*SCALER_KINDS):
        kind, name = scale_target(scaler)
        if release.find(kind, name) is None:
            known = (
                ", ".join(sorted(ref(m) for m in release.of_kind("Deployment", "StatefulSet"))) or "nothing to scale"
            )
            yield Problem(f"{ref(scaler)} spec.scaleTargetRef", f"the release has no {kind}/{name}", f"it has {known}")


def one_scaler(release: Release) -> Iterator[Problem]:
    """At most one HorizontalPodAutoscaler or ScaledObject scales an object: two would undo each other's work."""
    counted: dict[tuple[str, str], list[str]] = {}
    for scaler in release.of_kind(*SCALER_KINDS):
        counted.setdefault(scale_target(scaler), []).append(ref(scaler))
    for (kind, name), scalers in counted.items():
        if len(scalers) > 1:
            yield Problem(f"{kind}/{name}", f"is scaled by {' and '.join(scalers)}", "leave one of them")


def replicas_owned(release: Release) -> Iterator[Problem]:
    """`spec.replicas` is left out where a scaler owns it: each `helm upgrade` would set it back."""
    scaled = {scale_target(scaler): ref(scaler) for scaler in release.of_kind(*SCALER_KINDS)}
    for manifest in release.of_kind("Deployment", "StatefulSet"):
        owner = scaled.get((str(manifest.get("kind")), str(get(manifest, "metadata", "name"))))
        if owner and get(manifest, "spec", "replicas") is not None:
            yield Problem(f"{ref(manifest)} spec.replicas", f"{owner} owns the number of pods", "leave it out")


def bounds(release: Release) -> Iterator[Problem]:
    """min <= max, max >= 1, and a minimum of 0 only where a queue can wake the first pod."""
    for scaler in release.of_kind(*SCALER_KINDS):
        least, most = scale_bounds(scaler)
        path = f"{ref(scaler)} spec"
        if least is None or most is None:
            yield Problem(path, "minimum or maximum of replicas is missing or no number", "set both")
        elif most < 1:
            yield Problem(path, f"the maximum is {most}", "set at least 1")
        elif least > most:
            yield Problem(path, f"the minimum {least} is above the maximum {most}", "lower one or raise the other")
        elif least < 1 and not _can_wake(scaler):
            yield Problem(path, "nothing would wake 0 pods, which use no CPU or memory", "set a minimum of 1")


def _can_wake(scaler: Manifest) -> bool:
    if scaler.get("kind") == "ScaledObject":
        return any(get(trigger, "type") not in _RESOURCES for trigger in items(scaler, "spec", "triggers"))
    return any(get(metric, "type") in ("External", "Object") for metric in items(scaler, "spec", "metrics"))


def requests(release: Release) -> Iterator[Problem]:
    """A target in percent is a share of the request, so every container that counts has one."""
    for scaler in release.of_kind(*SCALER_KINDS):
        target = release.find(*scale_target(scaler))
        for resource, container_name in _utilization_targets(scaler):
            for container in containers(pod_spec(target or {}), init=False):
                counts = container_name in (None, container.get("name"))
                if counts and not quantity(get(container, "resources", "requests", resource)):
                    yield Problem(
                f"{ref(target or {})} container {container.get('name')} resources.requests.{resource}",
                        f"{ref(scaler)} scales on a share of it, but it is not set", "set it",
                    )  # fmt: skip


def _utilization_targets(scaler: Manifest) -> Iterator[tuple[str, str | None]]:
    """Yield resource and container (None: all) of every target in percent."""
    for metric in items(scaler, "spec", "metrics"):
        for key in ("resource", "containerResource"):
            source = mapping(metric, key)
            if get(source, "target", "type") == "Utilization":
                yield str(source.get("name")), source.get("container")
    for trigger in items(scaler, "spec", "triggers"):
        how = get(trigger, "metricType") or get(trigger, "metadata", "type") or "Utilization"
        if get(trigger, "type") in _RESOURCES and how == "Utilization":
            yield str(get(trigger, "type")), get(trigger, "metadata", "containerName")


def agrees_with_topology(release: Release) -> Iterator[Problem]:
    """Scaler and bounds of a class are what topology.json tells the planner and the publishers."""
    for worker in release.workers:
        if not worker.topology:
            continue
        target = ("Deployment", str(get(worker.deployment, "metadata", "name")))
        found = [scaler for scaler in release.of_kind(*SCALER_KINDS) if scale_target(scaler) == target]
        said = str(worker.topology.get("scaler"))
        names = {"HorizontalPodAutoscaler": "hpa", "ScaledObject": "keda"}
        actual = names[str(found[0].get("kind"))] if found else "none"
        path = f"topology.json classes.{worker.class_name}"
        if said != actual:
            yield Problem(f"{path}.scaler", f"says {said}, the manifests have {actual}", "use one value for both")
        least, most = scale_bounds(found[0]) if found else (_fixed(worker.deployment), _fixed(worker.deployment))
        told = (get(worker.topology, "replicas", "min"), get(worker.topology, "replicas", "max"))
        if told != (least, most):
            yield Problem(
                f"{path}.replicas", f"says {told[0]} to {told[1]}, the manifests {least} to {most}",
                "use one value for both",
            )  # fmt: skip


def _fixed(deployment: Manifest) -> int | None:
    return integer(get(deployment, "spec", "replicas", default=1))


def behaviors(release: Release) -> Iterator[Problem]:
    """Scaling policies stay within what the API server accepts."""
    for scaler in release.of_kind(*SCALER_KINDS):
        base = ("spec", "behavior")
        if scaler.get("kind") == "ScaledObject":
            base = ("spec", "advanced", "horizontalPodAutoscalerConfig", "behavior")  # type: ignore[assignment]
        for direction in ("scaleUp", "scaleDown"):
            rules = mapping(scaler, *base, direction)
            yield from _check_rules(f"{ref(scaler)} {'.'.join(base)}.{direction}", rules)


def _check_rules(path: str, rules: Mapping[str, Any]) -> Iterator[Problem]:
    window = get(rules, "stabilizationWindowSeconds", default=0)
    if integer(window) is None or not 0 <= window <= MAX_STABILIZATION_SECONDS:
        yield Problem(f"{path}.stabilizationWindowSeconds", f"is {window}", f"use 0 to {MAX_STABILIZATION_SECONDS}")
    if get(rules, "selectPolicy", default="Max") not in ("Max", "Min", "Disabled"):
        yield Problem(f"{path}.selectPolicy", f"is {rules['selectPolicy']!r}", "use Max, Min or Disabled")
    if "policies" in rules and not items(rules, "policies"):
        yield Problem(f"{path}.policies", "is empty", "give at least one policy, or leave the key out")
    for index, policy in enumerate(items(rules, "policies")):
        yield from _check_policy(f"{path}.policies[{index}]", policy)


def _check_policy(path: str, policy: Any) -> Iterator[Problem]:
    value, period = integer(get(policy, "value")), integer(get(policy, "periodSeconds"))
    if get(policy, "type") not in ("Pods", "Percent"):
        yield Problem(f"{path}.type", f"is {get(policy, 'type')!r}", "use Pods or Percent")
    if value is None or value < 1:
        yield Problem(f"{path}.value", f"is {get(policy, 'value')}", "use at least 1")
    if period is None or not 1 <= period <= MAX_PERIOD_SECONDS:
        yield Problem(f"{path}.periodSeconds", f"is {get(policy, 'periodSeconds')}", f"use 1 to {MAX_PERIOD_SECONDS}")


def keda_references(release: Release) -> Iterator[Problem]:
    """A queue trigger's TriggerAuthentication is in the release, and the queue it watches is in topology.json."""
    known = mapping(release.topology, "queues")
    for scaler in release.of_kind("ScaledObject"):
        for index, trigger in enumerate(items(scaler, "spec", "triggers")):
            if get(trigger, "type") != "rabbitmq":
                continue  # what another trigger needs, the user has made
            path = f"{ref(scaler)} spec.triggers[{index}]"
            kind = get(trigger, "authenticationRef", "kind", default="TriggerAuthentication")
            name = get(trigger, "authenticationRef", "name")
            if name and kind == "TriggerAuthentication" and release.find(kind, name) is None:
                yield Problem(f"{path}.authenticationRef", f"the release has no {kind}/{name}", "correct the name")
            queue = text(trigger, "metadata", "queueName")
            if queue not in known:
                shown = ", ".join(sorted(known))
                yield Problem(f"{path}.metadata.queueName", f"there is no queue {queue!r}", f"use one of {shown}")


def keda_within_bounds(release: Release) -> Iterator[Problem]:
    """A timetable and a fallback ask for pods there can be, and no two triggers share a name."""
    for scaler in release.of_kind("ScaledObject"):
        most = scale_bounds(scaler)[1]
        triggers = items(scaler, "spec", "triggers")
        asked = {
            f"spec.triggers[{index}].metadata.desiredReplicas": quantity(get(trigger, "metadata", "desiredReplicas"))
            for index, trigger in enumerate(triggers)
            if get(trigger, "type") == "cron"
        }
        asked["spec.fallback.replicas"] = quantity(get(scaler, "spec", "fallback", "replicas"))
        for path, replicas in asked.items():
            if replicas is not None and most is not None and replicas > most:
                yield Problem(f"{ref(scaler)} {path}", f"{replicas} is above the maximum {most}", "lower it")
        counted = Counter(str(get(trigger, "name")) for trigger in triggers if get(trigger, "name") is not None)
        for name, count in counted.items():
            if count > 1:
                yield Problem(
                    f"{ref(scaler)} spec.triggers", f"{count} are called {name}", "KEDA refuses it: rename one"
                )


def queue_depths(release: Release) -> Iterator[Problem]:
    """Queue depth per pod: not below the concurrency, and the last pod comes before the queue is 80 % full."""
    for worker in release.workers:
        for scaler in release.of_kind("ScaledObject"):
            if scale_target(scaler) != ("Deployment", str(get(worker.deployment, "metadata", "name"))):
                continue
            for index, trigger in enumerate(items(scaler, "spec", "triggers")):
                if get(trigger, "metadata", "mode") == "QueueLength":
                    path = f"{ref(scaler)} spec.triggers[{index}].metadata.value"
                    yield from _check_depth(path, trigger, worker.topology, release, scale_bounds(scaler)[1])


def _check_depth(
    path: str, trigger: Any, worker_class: Mapping[str, Any], release: Release, most_replicas: int | None
) -> Iterator[Problem]:
    depth = quantity(get(trigger, "metadata", "value"))
    queue = str(get(trigger, "metadata", "queueName"))
    concurrency = integer(worker_class.get("concurrency"))
    limit = integer(get(release.topology, "queues", queue, "max_length_messages"))
    if depth is None:
        return
    if concurrency is not None and depth < concurrency:
        yield Problem(
                path, f"{depth} is less than the {concurrency} messages one pod works on, which count too",
            f"set at least {concurrency}", WARNING,
        )  # fmt: skip
    if limit is not None and most_replicas and depth * most_replicas > FULL_SHARE * limit:
        best = int(FULL_SHARE * limit / most_replicas)
        yield Problem(
                path, f"{depth} a pod ask for pod {most_replicas} only when queue {queue} is over 80 % full",
            f"set at most {best}, or raise the queue's maxLength", WARNING,
        )  # fmt: skip


def disruption_budgets(release: Release) -> Iterator[Problem]:
    """A PodDisruptionBudget has pods to guard and still lets a node be drained."""
    for budget in release.of_kind("PodDisruptionBudget"):
        selector = mapping(budget, "spec", "selector")
        guarded = [
            manifest for manifest in release.of_kind("Deployment", "StatefulSet")
            if matches(selector, mapping(pod_template(manifest), "metadata", "labels"))
        ]  # fmt: skip
        if not guarded:
            yield Problem(f"{ref(budget)} spec.selector", "selects no pod of the release", "correct its labels")
        if get(budget, "spec", "maxUnavailable") in (0, "0%"):
            yield Problem(f"{ref(budget)} spec.maxUnavailable", "0 blocks every node drain", "set at least 1")
        kept = integer(get(budget, "spec", "minAvailable"))
        least = sum(_least_replicas(release, manifest) for manifest in guarded)
        if guarded and kept is not None and kept >= least:
            yield Problem(
                f"{ref(budget)} spec.minAvailable", f"{kept} of at least {least} pods blocks every node drain",
                "use maxUnavailable: 1",
            )  # fmt: skip


def _least_replicas(release: Release, manifest: Manifest) -> int:
    name = (str(manifest.get("kind")), str(get(manifest, "metadata", "name")))
    for scaler in release.of_kind(*SCALER_KINDS):
        if scale_target(scaler) == name:
            return scale_bounds(scaler)[0] or 0
    return _fixed(manifest) or 0


def unique_metrics(release: Release) -> Iterator[Problem]:
    """One scaler reads one thing once: a second target for the same metric is refused or has no effect."""
    for scaler in release.of_kind(*SCALER_KINDS):
        counted = Counter(
            [str(mapping(metric, "resource").get("name")) for metric in items(scaler, "spec", "metrics")
             if get(metric, "type") == "Resource"]
            + [str(sorted((k, v) for k, v in mapping(trigger, "metadata").items() if k != "value"))
               for trigger in items(scaler, "spec", "triggers") if get(trigger, "type") == "rabbitmq"]
            + [str(get(trigger, "type")) for trigger in items(scaler, "spec", "triggers")
               if get(trigger, "type") in _RESOURCES]
        )  # fmt: skip
        for metric, count in counted.items():
            if count > 1:
                yield Problem(f"{ref(scaler)} spec", f"{metric} is targeted {count} times", "target it once")
