"""Rules about NetworkPolicies: they hold for pods of the release, and leave workers what they need."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from harness.chart.manifests import (
    Manifest,
    Release,
    Worker,
    containers,
    get,
    items,
    mapping,
    matches,
    namespace_of,
    pod_spec,
    pod_template,
    ref,
)
from harness.chart.problems import WARNING, Problem

# DNS (OpenShift's pods have 5353), RabbitMQ, plain and with TLS, and Redis.
DNS_PORTS = frozenset({53, 5353})
BROKER_PORTS = frozenset({5671, 5672, 15671, 15672})
REDIS_PORTS = frozenset({6379})


def select_pods(release: Release) -> Iterator[Problem]:
    """A NetworkPolicy selects pods of the release: one that selects none protects nobody."""
    for policy in release.of_kind("NetworkPolicy"):
        if not any(_holds_for(policy, manifest) for manifest in release.manifests):
            yield Problem(f"{ref(policy)} spec.podSelector", "selects no pod of the release", "correct its labels")


def leave_broker_and_names(release: Release) -> Iterator[Problem]:
    """Where NetworkPolicies restrict a worker's egress, it still reaches DNS and something else: its broker."""
    for worker in release.workers:
        ports = _allowed_ports(release, worker)
        if ports is None:
            continue
        path = f"{ref(worker.deployment)} NetworkPolicy egress"
        if not ports & DNS_PORTS:
            yield Problem(path, "no policy lets the pods ask DNS, so they find no broker", "allow port 53, UDP and TCP")
        if not ports - DNS_PORTS:
            yield Problem(path, "no policy lets the pods reach the broker", "allow its AMQP port")


def leave_services(release: Release) -> Iterator[Problem]:
    """A worker that is told of services may reach more than DNS, the broker and Redis, unless that is meant."""
    for worker in release.workers:
        ports = _allowed_ports(release, worker)
        told = any(items(container, "envFrom") for container in containers(pod_spec(worker.deployment)))
        if told and ports is not None and ports <= DNS_PORTS | BROKER_PORTS | REDIS_PORTS:
            yield Problem(
                f"{ref(worker.deployment)} NetworkPolicy egress",
                "envFrom names services, but only DNS, the broker and Redis may be reached",
                "list the services in networkPolicy.egress, or set networkPolicy.allowExternal",
                WARNING,
            )


def _allowed_ports(release: Release, worker: Worker) -> frozenset[int] | None:
    """Return the ports a worker may connect to somewhere, None when one rule (or no policy) leaves all ports open."""
    ports: set[int] = set()
    policies = [
        policy
        for policy in release.of_kind("NetworkPolicy")
        if "Egress" in items(policy, "spec", "policyTypes") and _holds_for(policy, worker.deployment)
    ]
    for policy in policies:
        for rule in items(policy, "spec", "egress"):
            found = _ports(rule)
            if found is None:
                return None
            ports |= found
    return frozenset(ports) if policies else None


def _ports(rule: Any) -> set[int] | None:
    """Return the ports of one egress rule, None for all (a named port or a range counts as all)."""
    ports = [get(port, "port") for port in items(rule, "ports")]
    if not ports or not all(isinstance(port, int) for port in ports) or any(map(_is_range, items(rule, "ports"))):
        return None
    return set(ports)


def _is_range(port: Any) -> bool:
    return get(port, "endPort") is not None


def _holds_for(policy: Manifest, manifest: Manifest) -> bool:
    template = pod_template(manifest)
    if template is None or namespace_of(manifest) != namespace_of(policy):
        return False
    labels: Mapping[str, Any] = mapping(template, "metadata", "labels")
    return matches(mapping(policy, "spec", "podSelector"), labels)
