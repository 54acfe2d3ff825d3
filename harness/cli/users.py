"""`harness users`: the broker's users for a release, each with no more rights than its work needs."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import click

from harness.broker.roles import roles
from harness.chart.render import render, topology
from harness.cli.options import chosen, values_options


@click.command()
@values_options
@click.option("--vhost", default="/", show_default=True, help="Virtual host of the release.")
@click.option("--prefix", help="What the users' names begin with. Default: the release's name.")
def command(vhost: str, prefix: str | None, as_json: bool, **options: Any) -> None:
    """Print the rabbitmqctl commands that make a release's users, worked out of its queues.

    Each `add_user` asks for a password. Run them again when queues come or go: they change permissions in place, except
    add_user, which then says that the user exists.
    """
    values = chosen(**options)
    manifests = render(values.files, release=values.release, namespace=values.namespace, set_values=values.set_values)
    found = roles(topology(manifests))
    if as_json:
        click.echo(json.dumps([asdict(role) for role in found], indent=2))
        return
    for role in found:
        click.echo(f"# {role.name}: {role.purpose}")
        click.echo("\n".join(role.rabbitmqctl(vhost, prefix or values.release)))
