"""The sites by the names a person gives them."""

from __future__ import annotations

from harness.errors import InputError
from harness.spike.local_site import LocalSite
from harness.spike.site import Site

NAMES = ("local", "kind", "cluster")


def find(name: str, *, broker_port: int | None) -> Site:
    """Return the site of a name of NAMES. Raises InputError for an option that it does not have."""
    if name == "local":
        return LocalSite(broker_port=broker_port)
    if broker_port is not None:
        raise InputError("--broker-port is for --runtime local: in a cluster RabbitMQ has an address of its own")
    # Imported here: a local run needs no client of Kubernetes, which takes most of a second to load.
    from harness.spike.cluster_site import on_given, on_kind

    return on_kind() if name == "kind" else on_given()
