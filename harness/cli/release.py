"""`harness release`: check a tree, have it say a version, make what is handed out."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from harness.cli.endings import EXIT_MISSED
from harness.cli.options import JSON_OPTION
from harness.cli.ways import way_option
from harness.cluster import ordinary, setup, way
from harness.cluster.versions import ROOT, versions
from harness.release import build as building
from harness.release import checkout, prepare, released_images, rules
from harness.release.checkout import Commit
from harness.release.plan import Plan, next_steps
from harness.release.rules import Finding, Tree

_FURTHEST = timedelta(hours=14)  # east of Greenwich somebody has tomorrow already
_CONTEXTS = "CONTEXTS"  # stands in shown commands for the folder that images are staged in


@click.group()
def command() -> None:
    """Check whether the tree is fit for a release, have it say a version, and make what is handed out.

    The order: `prepare VERSION`, look at the changes and commit them, `build`, then the commands it prints.
    """


@command.command()
@JSON_OPTION
def check(as_json: bool) -> None:
    """Say all that stands against a release of this tree. Exit code 1 when something does.

    The version is new and SemVer, CHANGELOG.md has a dated section for it and nothing unreleased, appVersion is the
    Python package's, images of other content get another version, generated files are current, all is committed.
    """
    tree, _ = _tree()
    found = rules.findings(tree)
    if as_json:
        click.echo(
            json.dumps(
                {"version": tree.version, "fit": not found, "findings": [asdict(one) for one in found]}, indent=2
            )
        )
    elif found:
        _show(found, on_stderr=False)
    else:
        click.echo(f"fit for a release: {tree.version}, images {tree.app_version}, commit {tree.revision[:12]}")
    sys.exit(EXIT_MISSED if found else 0)


@command.command("prepare")
@click.argument("version")
@click.option("--app-version", help="Also raise the version of the images and of the Python package.")
@click.option(
    "--date",
    "day",
    type=click.DateTime(["%Y-%m-%d"]),
    default=lambda: datetime.now(UTC).date().isoformat(),
    show_default="today",
    help="Day of the release.",
)
@JSON_OPTION
def prepare_command(version: str, app_version: str | None, day: datetime, as_json: bool) -> None:
    """Have the tree say VERSION: CHANGELOG.md, Chart.yaml, generated files. Nothing is committed.

    What is unreleased in CHANGELOG.md moves under the version. Either all files are written or none.
    """
    changed = prepare.prepare(ROOT, version, app_version=app_version, day=day.date())
    if as_json:
        click.echo(json.dumps({"version": version, "changed": changed}, indent=2))
        return
    click.echo(f"changed: {', '.join(changed)}, and what `make golden` writes")
    click.echo(f'next: git diff; git commit -am "Release {version}"; make release')


@command.command()
@click.option("--snapshot", is_flag=True, help="Of any tree, under a version between releases.")
@click.option("--no-images", is_flag=True, help="Chart package, its bill, notes and sums only; needs no engine.")
@way_option("Force how images are built: with a registry, or from packages.")
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("dist"),
    show_default=True,
    help="The release gets a folder of its own in it.",
)
@click.option("--dry-run", is_flag=True, help="Only say which way, and print the commands of the ordinary one.")
@JSON_OPTION
def build(snapshot: bool, no_images: bool, forced: str, output: Path, dry_run: bool, as_json: bool) -> None:
    """Make the chart's package, labelled images, bills of materials, notes and sums, all in one folder.

    A tree that `check` finds unfit is refused with exit code 1, but for a snapshot. Nothing is tagged or pushed: the
    commands for that are printed. In those of a dry run CONTEXTS, PIP_CONF and CA_BUNDLE stand for what a build makes
    for itself and removes.
    """
    tree, at = _tree(generated=not snapshot and not dry_run)
    if not snapshot and not dry_run:
        _require_fit(tree)
    plan = building.planned(ROOT, tree, at, snapshot=snapshot)
    images = [] if no_images else released_images.of(plan)
    if dry_run:
        _dry_run(setup.choose(forced), images, as_json)
        return
    made = building.build(
        ROOT,
        plan,
        output,
        images=images,
        write_archive=building.by(lambda: setup.choose(forced), say=_say),
        require_unchanged=lambda: checkout.require_unchanged(ROOT, at, apart_from=output),
        say=_say,
    )
    _show_made(plan, made, as_json)


def _tree(*, generated: bool = True) -> tuple[Tree, Commit]:
    at = checkout.commit(ROOT)
    stale = checkout.stale_files if generated else lambda root: ()
    return checkout.tree(ROOT, at, last_day=(datetime.now(UTC) + _FURTHEST).date(), stale=stale), at


def _require_fit(tree: Tree) -> None:
    found = rules.findings(tree)
    if found:
        _show(found)
        click.echo("no release was made; to have this tree as it is: --snapshot (make release SNAPSHOT=1)", err=True)
        sys.exit(EXIT_MISSED)


def _show(found: Sequence[Finding], *, on_stderr: bool = True) -> None:
    for finding in found:
        click.echo(str(finding), err=on_stderr)


def _dry_run(chosen: way.Way, images: Sequence[released_images.Image], as_json: bool) -> None:
    engine = chosen.engine or "docker"
    steps = [
        step
        for image in images
        for step in released_images.ordinary_steps(engine, versions(), image, directory=_CONTEXTS)
    ]
    if as_json:
        commands = [{"doing": step.doing, "command": list(step.command)} for step in steps]
        click.echo(json.dumps({"way": chosen.kind, "reason": chosen.reason, "ordinary": commands}, indent=2))
        return
    if not steps:
        click.echo("no image is wanted, so nothing would be built", err=True)
        return
    click.echo(str(chosen), err=True)
    click.echo(ordinary.shown(steps))


def _show_made(plan: Plan, made: building.Made, as_json: bool) -> None:
    directory = os.path.relpath(made.directory)
    steps = next_steps(plan, directory=directory, archives=made.archives)
    if as_json:
        document = {
            "version": plan.version,
            "app_version": plan.app_version,
            "revision": plan.revision,
            "snapshot": plan.is_snapshot,
            "directory": directory,
            "sha256": dict(made.sha256),
            "next": list(steps),
        }
        click.echo(json.dumps(document, indent=2))
        return
    for name in made.sha256:
        click.echo(f"{(made.directory / name).stat().st_size / 2**20:8.2f} MiB  {directory}/{name}")
    click.echo("next, by hand (REGISTRY is yours; helm and docker want to be logged in there):")
    for step in steps:
        click.echo(f"  {step}")


def _say(text: str) -> None:
    click.echo(f"release: {text}", err=True)
