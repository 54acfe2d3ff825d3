"""Chart.yaml: its versions, and what Artifact Hub shows of the chart, from CHANGELOG.md and values.yaml. Text to text.

Chart.yaml's own part ends at a mark; below it, annotations follow: the changes of Chart.yaml's version, and the images
its values name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

from harness.chart import yaml_strict
from harness.chart.manifests import get
from harness.errors import InputError
from harness.release import changelog as changelogs

MARK = "  # Below here written by `make golden` from CHANGELOG.md and values.yaml.\n"
# Name of an image -> where the values have it.
IMAGES: Mapping[str, tuple[str, ...]] = {
    "application": ("image",),
    "placeholder": ("headroom", "image"),
    "rabbitmq-for-development": ("broker", "embedded", "image"),
}


def insert(chart_text: str, changelog: str, values: Mapping[str, Any], *, section: str | None = None) -> str:
    """Return Chart.yaml with the part below its mark made anew, from the section of its version or another one.

    Raises InputError as `changelog.changes`.
    """
    chart = yaml_strict.load_text(chart_text, "Chart.yaml")
    made = {
        "artifacthub.io/changes": _listed(changelogs.changes(changelog, section or chart["version"])),
        "artifacthub.io/images": _listed(images(values, chart["appVersion"])),
    }
    text = "".join(f"{key}: |\n{_indented(listed, 2)}" for key, listed in made.items())
    return f"{chart_text.partition(MARK)[0]}{MARK}{_indented(text, 2)}"


def with_versions(chart_text: str, *, version: str, app_version: str) -> str:
    """Return Chart.yaml with other versions. Raises InputError where it has not one line of each."""
    text = chart_text
    for key, line in (("version", f"version: {version}"), ("appVersion", f'appVersion: "{app_version}"')):
        text, count = re.subn(rf"^{key}:.*$", line, text, flags=re.MULTILINE)
        if count != 1:
            raise InputError(f"Chart.yaml: {key}: {count} lines of it; write one, at the left margin")
    return text


def images(values: Mapping[str, Any], app_version: str) -> list[dict[str, str]]:
    """Return the images the values name as the chart does: by digest, by tag, else by the tag that it takes."""
    found = {name: get(values, *path) for name, path in IMAGES.items()}
    return [{"name": name, "image": _reference(image, app_version)} for name, image in found.items()]


def _reference(image: Mapping[str, Any], app_version: str) -> str:
    if image.get("digest"):
        return f"{image['repository']}@{image['digest']}"
    return f"{image['repository']}:{image['tag'] or app_version}"


def _listed(entries: list[dict[str, str]]) -> str:
    return yaml.safe_dump(entries, sort_keys=False, width=1000, allow_unicode=True)


def _indented(text: str, spaces: int) -> str:
    return "".join(f"{' ' * spaces}{line}\n" for line in text.splitlines())
