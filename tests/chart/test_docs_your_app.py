"""The values file of "Your app in ten minutes" is usable as it stands there."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from harness.cli import cli
from tests.cluster.apps.documented import MINE, values_file


def test_the_values_file_is_usable(tmp_path: Path) -> None:
    file = values_file(tmp_path)
    assert file.name == MINE
    done = CliRunner().invoke(cli, ["validate", "-f", str(file)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert "usable: 0 errors, 1 warning" in done.output
    assert "redis.existingSecret" in done.output
