"""Rules across the objects of one render, which no schema can see. Pure: manifests in, problems out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from harness.chart import rules_network, rules_pods, rules_scaling, rules_topology, rules_workers
from harness.chart.manifests import Manifest, Release
from harness.chart.problems import Problem


@dataclass(frozen=True)
class Rule:
    """One rule: a stable id, and the check that yields a problem for each place that breaks it."""

    id: str
    check: Callable[[Release], Iterable[Problem]]

    @property
    def title(self) -> str:
        """Return what the rule asks for, and why."""
        return (self.check.__doc__ or "").strip()


RULES: tuple[Rule, ...] = (
    Rule("topology-present", rules_topology.present),
    Rule("queues-and-classes-agree", rules_topology.queues),
    Rule("routes-lead-to-queues", rules_topology.routes),
    Rule("limited-queues-keep-dead-letters", rules_topology.dead_letters),
    Rule("priorities-need-prefetch-1", rules_topology.prefetch),
    Rule("full-queue-outlives-ttl", rules_topology.waits),
    Rule("queues-outlive-their-objects", rules_topology.queues_retained),
    Rule("full-queues-refuse", rules_topology.overflow),
    Rule("poison-tasks-end", rules_topology.poison),
    Rule("consumer-timeout-above-limits", rules_topology.consumer_timeouts),
    Rule("one-deployment-a-class", rules_workers.classes),
    Rule("arguments-agree-with-topology", rules_workers.arguments),
    Rule("grace-covers-longest-task", rules_workers.grace),
    Rule("probes-present", rules_workers.probes),
    Rule("celery-is-first-process", rules_workers.first_process),
    Rule("one-beat", rules_workers.one_beat),
    Rule("config-files-exist", rules_workers.config_files),
    Rule("scale-target-exists", rules_scaling.targets),
    Rule("one-scaler-an-object", rules_scaling.one_scaler),
    Rule("replicas-owned-by-scaler", rules_scaling.replicas_owned),
    Rule("replica-bounds", rules_scaling.bounds),
    Rule("utilization-has-requests", rules_scaling.requests),
    Rule("scaling-agrees-with-topology", rules_scaling.agrees_with_topology),
    Rule("behavior-within-bounds", rules_scaling.behaviors),
    Rule("one-target-a-metric", rules_scaling.unique_metrics),
    Rule("keda-references-exist", rules_scaling.keda_references),
    Rule("keda-within-bounds", rules_scaling.keda_within_bounds),
    Rule("queue-depth-reachable", rules_scaling.queue_depths),
    Rule("disruption-budget-lets-drain", rules_scaling.disruption_budgets),
    Rule("network-policy-selects-pods", rules_network.select_pods),
    Rule("network-policy-leaves-broker", rules_network.leave_broker_and_names),
    Rule("network-policy-leaves-services", rules_network.leave_services),
    Rule("unique-names", rules_pods.unique_names),
    Rule("selectors-own-pods", rules_pods.selectors),
    Rule("pod-security-restricted", rules_pods.restricted),
    Rule("service-account-rendered", rules_pods.service_accounts),
    Rule("priority-only-lowered", rules_pods.priority_classes),
    Rule("requests-within-limits", rules_pods.resources),
    Rule("secrets-by-reference", rules_pods.secrets),
)


def check(manifests: Sequence[Manifest]) -> list[Problem]:
    """Return every broken rule of a render, in the order of RULES; none for a release that can work."""
    release = Release.of(manifests)
    return [replace(problem, rule=rule.id) for rule in RULES for problem in rule.check(release)]
