"""`harness render`: the chart's manifests under given values."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from harness.chart import yaml_strict
from harness.chart.manifests import Manifest, name_of
from harness.chart.render import render_with_warnings
from harness.cli.options import chosen, values_options
from harness.errors import InputError


@click.command()
@values_options
@click.option("--output-dir", metavar="DIR", type=click.Path(path_type=Path), help="Write one file an object there.")
def command(output_dir: Path | None, as_json: bool, **options: Any) -> None:
    """Print the manifests that helm makes of the chart.

    YAML is read strictly: a key given twice is an error naming file, line and key. Without --env and -f the chart's own
    defaults are rendered. Helm's warnings go to stderr.
    """
    values = chosen(**options)
    rendered = render_with_warnings(
        values.files, release=values.release, namespace=values.namespace, set_values=values.set_values
    )
    for warning in rendered.warnings:
        click.echo(f"warning: {warning}", err=True)
    written = write_files(output_dir, rendered.manifests) if output_dir else []
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


def write_files(directory: Path, manifests: Sequence[Manifest]) -> list[Path]:
    """Write each object to <kind>-<name>.yaml and return the files; a file appears whole or not at all.

    Raises InputError when the directory cannot be written to.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        return [_write(directory, manifest) for manifest in manifests]
    except OSError as error:
        raise InputError(f"--output-dir {directory}: {error.strerror}; name a directory you may write to") from error


def _write(directory: Path, manifest: Manifest) -> Path:
    path = directory / f"{manifest.get('kind', 'object')}-{name_of(manifest)}.yaml".lower()
    with tempfile.NamedTemporaryFile("w", dir=directory, prefix=".new-", encoding="utf-8", delete=False) as file:
        made = Path(file.name)
        try:
            file.write(yaml_strict.dump_all([manifest]))
            file.close()
            made.chmod(0o644)  # temporary files are private, manifests are for others to read
            made.replace(path)
        finally:
            made.unlink(missing_ok=True)
    return path
