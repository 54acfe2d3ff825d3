"""`harness render`: the chart's manifests under given values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from harness.chart import output_dir as output
from harness.chart import yaml_strict
from harness.chart.render import render_with_warnings
from harness.cli.options import chosen, values_options


@click.command()
@values_options
@click.option(
    "--output-dir",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Write one file an object there, for `kubectl apply -f DIR`.",
)
def command(output_dir: Path | None, as_json: bool, **options: Any) -> None:
    """Print the manifests that helm makes of the chart.

    YAML is read strictly: a key given twice is an error naming file, line and key. Without --env and -f the chart's own
    defaults are rendered. Helm's warnings go to stderr. --output-dir leaves out what only `helm test` runs, and refuses
    a directory with anything in it that it did not write.
    """
    values = chosen(**options)
    rendered = render_with_warnings(
        values.files, release=values.release, namespace=values.namespace, set_values=values.set_values
    )
    for warning in rendered.warnings:
        click.echo(f"warning: {warning}", err=True)
    written = output.write(output_dir, output.files(rendered.manifests)) if output_dir else []
    if as_json:
        document = {
            "release": values.release,
            "namespace": values.namespace,
            "values": [yaml_strict.shown(path) for path in values.files],
            "warnings": rendered.warnings,
            "files": [str(path) for path in written],
            "manifests": rendered.manifests,
        }
        click.echo(json.dumps(document, indent=2))
    elif output_dir:
        click.echo(f"{len(written)} objects written to {output_dir}", err=True)
    else:
        click.echo(yaml_strict.dump_all(rendered.manifests), nl=False)
