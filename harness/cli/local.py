"""`harness local`: a release as processes of this machine, until Ctrl-C."""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import FrameType
from typing import Any

import click

from harness import processes, scratch
from harness.cli.endings import interrupt, on_endings
from harness.cli.options import chosen, values_options
from harness.cli.progress import TerminalProgress
from harness.errors import HarnessError, InputError
from harness.ops import runs
from harness.spike.local_release import LocalRelease, local_release
from harness.spike.progress import Progress, SilentProgress
from harness.urls import redact


@click.command()
@values_options
@click.option("--name", help="What `harness ops --run` calls it. Default: local- and a random part.")
@click.option("--broker-port", type=click.IntRange(1, 65535), help="AMQP port of the RabbitMQ that is started.")
@click.option(
    "--directory",
    type=click.Path(path_type=Path),
    help="Where logs and data go, and stay. Default: a temporary directory, removed at a clean end.",
)
def command(name: str | None, broker_port: int | None, directory: Path | None, as_json: bool, **options: Any) -> None:
    """Run RabbitMQ, the stand-in services and the workers of the given values until Ctrl-C.

    `harness ops` in another terminal finds it by itself. Without --env the values are prod,keda.
    """
    options["environments"] = options["environments"] or (None if options["files"] else "prod,keda")
    values = chosen(**options)
    if broker_port is not None:
        processes.require_free_port(broker_port, option="--broker-port")
    progress: Progress = SilentProgress() if as_json else TerminalProgress()
    ended = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:
        if ended.is_set():
            interrupt(number, frame)
        ended.set()

    with (
        nullcontext(directory.resolve()) if directory else scratch.directory("local") as place,
        _logs_kept(place),
        local_release(
            name or f"local-{secrets.token_hex(2)}",
            values=values.files,
            set_values=values.set_values,
            release=values.release,
            directory=place,
            progress=progress,
            broker_port=broker_port,
        ) as release,
    ):
        on_endings(end)
        click.echo(json.dumps(_described(release)) if as_json else _next_steps(release))
        release.run(ended.is_set)
        progress.step("stopping")


@contextmanager
def _logs_kept(place: Path) -> Iterator[None]:
    """Where something did not come up, keep its directory and say where it is."""
    try:
        yield
    except InputError:
        raise
    except HarnessError as error:
        if not any(place.glob("[!.]*")):
            raise
        scratch.keep(place)
        raise HarnessError(f"{error}\nThe logs: {place}") from error


def _described(release: LocalRelease) -> dict[str, Any]:
    ground = release.ground
    return {
        "name": release.name,
        "run_file": str(runs.file_of(release.name)),  # has the addresses with their passwords, for this user alone
        "services_url": ground.services.http_url,
        "configuration": str(release.configuration),
        "metrics": {target.job: target.url for target in ground.targets},
        "logs": str(ground.runtime.logs("POD")),
    }


def _next_steps(release: LocalRelease) -> str:
    ground = release.ground
    # The login of a RabbitMQ that was started here is guest's, on loopback; that of a given one is its owner's secret.
    amqp_url = "$BROKER_URL" if ground.broker.origin == "given" else ground.broker.amqp_url
    return f"""
{release.name} runs until Ctrl-C.

  RabbitMQ    {redact(ground.broker.amqp_url)}
  management  {redact(ground.broker.management_url)}
  services    {ground.services.http_url}
  metrics     {ground.targets[0].url}
  logs        {ground.runtime.logs("POD")}

Next steps, in another terminal:
  harness watch
  make monitor
  CELERY_BROKER_URL='{amqp_url}' PYTHONPATH={release.configuration} \\
    celery -A examx call check_db_connections
"""
