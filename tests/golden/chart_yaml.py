"""What Artifact Hub shows of the chart, from CHANGELOG.md and values.yaml. Pure: text and maps in, text out.

Chart.yaml's own part ends at a mark; below it, annotations follow: the changes of Chart.yaml's version, and the images
its values name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from harness.chart import yaml_strict
from harness.chart.manifests import get
from harness.errors import InputError

MARK = "  # Below here written by `make golden` from CHANGELOG.md and values.yaml.\n"
# Keep a Changelog's headings -> the kinds Artifact Hub knows.
KINDS: Mapping[str, str] = {
    "Added": "added", "Changed": "changed", "Deprecated": "deprecated", "Removed": "removed", "Fixed": "fixed",
    "Security": "security",
}  # fmt: skip
# Name of an image -> where the values have it.
IMAGES: Mapping[str, tuple[str, ...]] = {
    "application": ("image",),
    "placeholder": ("headroom", "image"),
    "rabbitmq-for-development": ("broker", "embedded", "image"),
}


def insert(chart_text: str, changelog: str, values: Mapping[str, Any]) -> str:
    """Return Chart.yaml with the part below its mark made anew. Raises InputError as `changes`."""
    chart = yaml_strict.load_text(chart_text, "Chart.yaml")
    made = {
        "artifacthub.io/changes": _listed(changes(changelog, chart["version"])),
        "artifacthub.io/images": _listed(images(values, chart["appVersion"])),
    }
    text = "".join(f"{key}: |\n{_indented(listed, 2)}" for key, listed in made.items())
    return f"{chart_text.partition(MARK)[0]}{MARK}{_indented(text, 2)}"


def changes(changelog: str, version: str) -> list[dict[str, str]]:
    """Return what a version's section says, in Artifact Hub's form. Raises InputError where it lacks or misnames it."""
    section = re.search(rf"^## \[{re.escape(version)}\].*?\n(.*?)(?=^## |\Z)", changelog, re.MULTILINE | re.DOTALL)
    found = list(_entries(section[1])) if section else []
    if not found:
        raise InputError(
            f"CHANGELOG.md: nothing stands under [{version}], the version of Chart.yaml; write what changed"
        )
    return found


def images(values: Mapping[str, Any], app_version: str) -> list[dict[str, str]]:
    """Return the images the values name, with the tags the chart takes where they name none."""
    found = {name: get(values, *path) for name, path in IMAGES.items()}
    return [
        {"name": name, "image": f"{image['repository']}:{image['tag'] or app_version}"} for name, image in found.items()
    ]


def _entries(section: str) -> Iterator[dict[str, str]]:
    for part in re.split(r"^### ", section, flags=re.MULTILINE)[1:]:
        heading, _, body = part.partition("\n")
        if heading.strip() not in KINDS:
            raise InputError(f"CHANGELOG.md: Artifact Hub knows no {heading.strip()!r}; use one of {', '.join(KINDS)}")
        for entry in re.findall(r"^- (.*?)(?=^- |\Z)", body, re.MULTILINE | re.DOTALL):
            yield {"kind": KINDS[heading.strip()], "description": " ".join(entry.split())}


def _listed(entries: list[dict[str, str]]) -> str:
    return yaml.safe_dump(entries, sort_keys=False, width=1000, allow_unicode=True)


def _indented(text: str, spaces: int) -> str:
    return "".join(f"{' ' * spaces}{line}\n" for line in text.splitlines())
