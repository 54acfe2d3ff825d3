"""`harness cluster`: a kind cluster to run the chart on."""

from __future__ import annotations

import json
import os
from typing import Any

import click

from harness.cli.options import JSON_OPTION
from harness.cli.ways import way_option
from harness.cluster import kindconfig, ordinary, setup
from harness.errors import HarnessError

NAME_OPTION = click.option(
    "--name",
    default=lambda: kindconfig.cluster_name(os.environ),
    show_default=f"${kindconfig.NAME_VARIABLE}, else {kindconfig.CLUSTER}",
    help="Name of the cluster.",
)


@click.group()
def command() -> None:
    """Make, show and remove a kind cluster with metrics-server, KEDA and the images a run needs.

    Made the ordinary way, with docker or podman and images from a registry, where that works; else from packages alone
    (Debian's, Go's module proxy, PyPI), as root on Debian. `up` says which and why.
    """


@command.command()
@NAME_OPTION
@way_option("Force one way.")
@click.option(
    "--workers", type=click.IntRange(1, 9), default=kindconfig.WORKERS, show_default=True, help="Worker nodes."
)
@click.option(
    "--dry-run", is_flag=True, help="Only say which way, print the commands of the ordinary one and write their files."
)
@JSON_OPTION
def up(name: str, forced: str, workers: int, dry_run: bool, as_json: bool) -> None:
    """Make the cluster; one that is there and the same is kept."""
    plan = setup.Plan(setup.choose(forced), name, workers)
    if dry_run:
        _dry_run(plan, as_json)
        return
    report = setup.up(plan)
    if as_json:
        click.echo(json.dumps(report, indent=2))
        return
    for step, seconds in report["steps"].items():
        click.echo(f"{seconds:7.1f} s  {step}", err=True)
    click.echo(f"{report['seconds']:7.1f} s  in all", err=True)
    click.echo(f"export KUBECONFIG={report['kubeconfig']}")


@command.command()
@NAME_OPTION
@click.option("--images", "images_too", is_flag=True, help="Also remove images and root file systems from the cache.")
@JSON_OPTION
def down(name: str, images_too: bool, as_json: bool) -> None:
    """Remove the cluster; nothing else is touched."""
    removed = setup.down(name, images_too=images_too)
    if as_json:
        click.echo(json.dumps(removed, indent=2))
    elif not removed["removed"]:
        click.echo(f"no cluster {name}", err=True)


@command.command()
@NAME_OPTION
@JSON_OPTION
def status(name: str, as_json: bool) -> None:
    """Show whether the cluster is there and answers, and the memory it takes. Fails (exit 2) where there is none."""
    found = setup.status(name)
    if as_json:
        click.echo(json.dumps(found, indent=2))
    if not found["exists"]:
        raise HarnessError(f"no cluster {name}: make it with `harness cluster up`")
    if not as_json:
        _show(found)


@command.command()
@JSON_OPTION
def images(as_json: bool) -> None:
    """Build the images of a cluster from packages, without making one."""
    made = setup.build_images()
    if as_json:
        click.echo(json.dumps(made, indent=2))
        return
    click.echo(f"node image {made['node']}")
    for archive, size in made["archives_bytes"].items():
        click.echo(f"{size / 2**20:7.0f} MiB  {archive}")


def _dry_run(plan: setup.Plan, as_json: bool) -> None:
    steps = setup.ordinary_steps(plan)
    if as_json:
        commands = [
            {"doing": step.doing, "command": list(step.command), "environment": dict(step.environment)}
            for step in steps
        ]
        click.echo(json.dumps({"way": plan.way.kind, "reason": plan.way.reason, "ordinary": commands}, indent=2))
        return
    click.echo(str(plan.way), err=True)
    click.echo(ordinary.shown(steps))


def _show(found: dict[str, Any]) -> None:
    click.echo(f"cluster {found['cluster']} ({found.get('way', 'unknown way')}): {len(found.get('nodes', ()))} nodes")
    answers = "answers" if found["answers"] else "does not answer"
    click.echo(f"API server {answers}, {found['memory_bytes'] / 2**20:.0f} MiB in use")
    click.echo(f"export KUBECONFIG={found['kubeconfig']}")
