"""The `harness` command: parses and delegates, nothing else."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

import click

from harness.cli.endings import interrupt_on_endings
from harness.errors import HarnessError

# Command -> the module whose `command` it is; a module is imported only when its command runs.
COMMANDS = {
    "render": "harness.cli.render",
    "validate": "harness.cli.validate",
    "users": "harness.cli.users",
    "check-gevent": "harness.cli.check_gevent",
    "checklist": "harness.cli.checklist",
    "rules": "harness.cli.rules",
    "plan": "harness.cli.plan",
    "calibrate": "harness.cli.calibrate",
    "spike": "harness.cli.spike",
    "tune": "harness.cli.tune",
    "cost": "harness.cli.cost",
    "compare": "harness.cli.compare",
    "chaos": "harness.cli.chaos",
    "soak": "harness.cli.soak",
    "report": "harness.cli.report",
    "claims": "harness.cli.claims",
    "watch": "harness.cli.watch",
    "monitor": "harness.cli.monitor",
    "dashboards": "harness.cli.dashboards",
    "hpa": "harness.cli.hpa",
    "local": "harness.cli.local",
    "ops": "harness.cli.ops",
    "cluster": "harness.cli.cluster",
    "setup": "harness.cli.setup",
    "release": "harness.cli.release",
}
EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130
EXIT_UNREAD = 141  # as of a program that SIGPIPE ends


class LazyGroup(click.Group):
    """A group that imports a command's module when it is asked for, so that `--help` and small commands start fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order a user meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command, or None where there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(COMMANDS[cmd_name]).command
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="celery-workers", message="%(version)s")
def cli() -> None:
    """Render and validate the celery-workers chart, and prove what it does in a spike.

    Exit codes: 0 done, 1 an objective was missed, 2 bad input or a missing tool, 130 interrupted.
    """


def main(arguments: list[str] | None = None) -> Any:
    """Run the command line and end the process with its exit code."""
    if arguments is None:  # in a process of its own; another's signals are none of our business
        interrupt_on_endings()
    try:
        sys.exit(cli.main(args=arguments, prog_name="harness", standalone_mode=False))
    except click.ClickException as error:
        error.show()
    except HarnessError as error:
        click.echo(f"error: {error}", err=True)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted: everything that was started has been ended", err=True)
        exec("")  # noqa: S102  # else Python ends by SIGINT where the signal came in an exec, as of a dataclass
        sys.exit(EXIT_INTERRUPTED)
    except BrokenPipeError:  # the reader, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_UNREAD)
    sys.exit(EXIT_BAD_INPUT)
