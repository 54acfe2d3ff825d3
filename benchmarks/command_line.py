"""How every benchmark ends."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import click

from harness.errors import HarnessError


def run(main: Callable[[], Any]) -> None:
    """Run a benchmark's command line; what stands in the way is one message and exit code 2."""
    try:
        main()
    except HarnessError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)
