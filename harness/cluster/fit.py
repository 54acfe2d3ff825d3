"""Asks a cluster whether a release fits it before anything is installed."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from harness.cluster.capacity import Room, check, demands, nodes_room
from harness.cluster.kubectl import Kubectl


def require_fit(kubectl: Kubectl, manifests: Sequence[Mapping[str, Any]], *, one_machine: bool) -> None:
    """Raise InputError when the release's pods cannot all be scheduled at maximum replicas.

    `one_machine` says that the nodes are containers of this machine, as kind's are. Raises HarnessError when the
    cluster does not answer.
    """
    nodes = kubectl.get("nodes").get("items", [])
    pods = kubectl.get("pods", "--all-namespaces").get("items", [])
    check(demands(manifests), nodes_room(nodes, pods), machine=this_machine() if one_machine else None)


def this_machine() -> Room:
    """Return this machine's CPU and memory."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Room(Fraction(os.cpu_count() or 1), Fraction(memory))
