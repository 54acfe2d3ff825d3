"""What a cluster is made of, read from images/versions.yaml."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.chart import yaml_strict
from harness.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
VERSIONS_FILE = ROOT / "images" / "versions.yaml"
_PROGRAMS = ("kubernetes", "kind", "etcd", "coredns", "crictl", "metricsServer", "keda", "rabbitmq")


@dataclass(frozen=True)
class Versions:
    """Versions without a leading v, Debian releases and public image names."""

    kubernetes: str
    kind: str
    etcd: str
    coredns: str
    crictl: str
    metrics_server: str
    keda: str
    rabbitmq: str
    node_image: str
    debian: Mapping[str, str]
    public_images: Mapping[str, str]


@functools.lru_cache(maxsize=1)
def versions() -> Versions:
    """Return the project's versions. Raises InputError when the file is incomplete."""
    return parse(yaml_strict.load_file(VERSIONS_FILE))


def parse(document: Any) -> Versions:
    """Return the versions of a parsed file. Raises InputError naming the key that is missing."""
    if not isinstance(document, Mapping):
        raise InputError(f"{VERSIONS_FILE}: not a mapping; restore it from version control")
    missing = [key for key in (*_PROGRAMS, "nodeImage", "debian", "publicImages") if key not in document]
    if missing:
        raise InputError(f"{VERSIONS_FILE}: {', '.join(missing)} missing; restore the file from version control")
    programs = {key: str(document[key]) for key in _PROGRAMS}
    return Versions(
        kubernetes=programs["kubernetes"],
        kind=programs["kind"],
        etcd=programs["etcd"],
        coredns=programs["coredns"],
        crictl=programs["crictl"],
        metrics_server=programs["metricsServer"],
        keda=programs["keda"],
        rabbitmq=programs["rabbitmq"],
        node_image=str(document["nodeImage"]),
        debian=dict(document["debian"]),
        public_images={name: str(image).format(**programs) for name, image in document["publicImages"].items()},
    )
