"""The option of every command that builds images."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import click

from harness.cluster import way


def way_option(text: str) -> Callable[[Any], Any]:
    """Return `--way`, which forces how images are built, by the variable unless it is given; `text` is its help."""
    return click.option(
        "--way",
        "forced",
        type=click.Choice(way.FORCED),
        default=lambda: way.forced(os.environ),
        show_default=f"${way.VARIABLE}, else auto",
        help=text,
    )
