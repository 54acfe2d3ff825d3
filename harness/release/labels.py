"""The labels of a release's images, by the OCI image specification's names. Pure.

They are put on when an image is released, not when it is built: an image is kept by what is in it, and a commit that
changes nothing in it needs no new one.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from harness.chart import yaml_strict
from harness.chart.manifests import get

PREFIX = "org.opencontainers.image."
_LICENSE = "artifacthub.io/license"
_LINKS = "artifacthub.io/links"


def labels(
    chart: Mapping[str, Any], *, image: str, description: str, version: str, revision: str, committed_seconds: int
) -> dict[str, str]:
    """Return the labels of one image. `committed_seconds` is the commit's time since 1970; `chart` lacks nothing."""
    values = {
        "title": image,
        "description": description,
        "version": version,
        "revision": revision,
        "created": moment(committed_seconds).isoformat().replace("+00:00", "Z"),
        "source": get(chart, "sources", 0),
        "licenses": license_of(chart),
        "documentation": documentation(chart),
    }
    return {f"{PREFIX}{name}": str(value) for name, value in values.items()}


def moment(seconds: int) -> datetime:
    """Return seconds since 1970 as a moment."""
    return datetime.fromtimestamp(seconds, UTC)


def license_of(chart: Mapping[str, Any]) -> str | None:
    """Return the SPDX expression that Chart.yaml names, None where it names none."""
    found = get(chart, "annotations", _LICENSE)
    return str(found) if found else None


def documentation(chart: Mapping[str, Any]) -> str | None:
    """Return the address of the documentation that Chart.yaml names, None where it names none."""
    text = get(chart, "annotations", _LINKS, default="[]")
    links = yaml_strict.load_text(f"links:\n{text}", f"Chart.yaml, {_LINKS}")["links"]
    named = [link for link in links or () if get(link, "name") == "documentation"]
    return get(named, 0, "url")


def missing(chart: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the keys of Chart.yaml that labels are taken from and that say nothing."""
    found = {
        "sources": get(chart, "sources", 0),
        f"annotations[{_LICENSE}]": license_of(chart),
        f"annotations[{_LINKS}], the one called documentation": documentation(chart),
    }
    return tuple(key for key, value in found.items() if not value)
