"""What a release is called and made of, decided before anything is made. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.chart.manifests import get
from harness.errors import InputError
from harness.release import bom, chart_yaml, labels, versions
from harness.release import changelog as changelogs
from harness.release.rules import CHART_FILE, Tree

NOTES = "RELEASE-NOTES.md"
SUMS = "SHA256SUMS"


@dataclass(frozen=True)
class Plan:
    """A release, or a snapshot between releases. `chart` is Chart.yaml as it is packaged, `chart_text` its text."""

    version: str
    app_version: str
    revision: str
    committed_seconds: int
    is_snapshot: bool
    is_tagged: bool
    chart: Mapping[str, Any]
    chart_text: str
    notes: str
    images: tuple[Mapping[str, str], ...]

    @property
    def name(self) -> str:
        """The chart's name with the version."""
        return f"{self.chart['name']}-{self.version}"

    def labels(self, image: str, description: str) -> dict[str, str]:
        """Return the labels of one of the images, by its short name."""
        return labels.labels(
            self.chart, image=image, description=description, version=self.app_version, revision=self.revision,
            committed_seconds=self.committed_seconds,
        )  # fmt: skip

    def subject(self, name: str, *, version: str, description: str, sha256: str) -> bom.Subject:
        """Return what a bill says of the file it belongs to."""
        return bom.Subject(
            name=name,
            version=version,
            description=description,
            revision=self.revision,
            moment=labels.moment(self.committed_seconds),
            license=str(labels.license_of(self.chart)),
            source=str(get(self.chart, "sources", 0)),
            supplier=str(get(self.chart, "maintainers", 0, "name", default=self.chart["name"])),
            sha256=sha256,
            made_by=self.app_version,
        )


def plan(tree: Tree, *, chart_text: str, values: Mapping[str, Any], committed_seconds: int, snapshot: bool) -> Plan:
    """Return the release of a tree that is fit for one, or the snapshot of any tree.

    Raises InputError where Chart.yaml does not say what every file is labelled with, or the changelog tells nothing.
    """
    absent = labels.missing(tree.chart)
    if absent:
        raise InputError(f"{CHART_FILE}: {', '.join(absent)}: nothing stands there, and images are labelled with it")
    versions.parse(tree.version, where=f"{CHART_FILE}: version")
    dirty = bool(tree.uncommitted)
    version, app_version, section = tree.version, tree.app_version, tree.version
    if snapshot:
        version = versions.snapshot(tree.version, tree.revision, dirty=dirty)
        app_version = versions.application_snapshot(tree.app_version, tree.revision, dirty=dirty)
        unreleased = changelogs.section(tree.changelog, changelogs.UNRELEASED)
        section = section if changelogs.is_empty(unreleased) else changelogs.UNRELEASED
    text = chart_yaml.with_versions(chart_text, version=version, app_version=app_version)
    told = changelogs.section(tree.changelog, section)
    return Plan(
        version=version,
        app_version=app_version,
        revision=f"{tree.revision}-dirty" if dirty else tree.revision,
        committed_seconds=committed_seconds,
        is_snapshot=snapshot,
        is_tagged=tree.is_tagged_here,
        chart=tree.chart,
        chart_text=chart_yaml.insert(text, tree.changelog, values, section=section),
        notes=f"# {tree.chart['name']} {version}\n\n{told.text if told else ''}\n",
        images=tuple(chart_yaml.images(values, app_version)),
    )


def next_steps(made: Plan, *, directory: str, archives: Mapping[str, str]) -> tuple[str, ...]:
    """Return the commands a maintainer types next. None of them is ever run from here.

    `archives` maps the name of an image's archive to the image's whole name; REGISTRY stands for the reader's own.
    """
    tag = versions.tag(made.version)
    tagging = (f'git tag -a {tag} -m "{made.chart["name"]} {made.version}" {made.revision}', f"git push origin {tag}")
    pushing = [
        command
        for archive, image in archives.items()
        for command in (
            f"gunzip --stdout {directory}/{archive} | docker load",  # podman 4.3 reads no compressed archive
            f"docker tag {image} REGISTRY/{image.rpartition('/')[2]}",
            f"docker push REGISTRY/{image.rpartition('/')[2]}",
        )
    ]
    return (
        f"(cd {directory} && sha256sum --check {SUMS})",
        *(() if made.is_snapshot or made.is_tagged else tagging),
        f"helm push {directory}/{made.name}.tgz oci://REGISTRY/charts",
        *pushing,
    )
