"""Running an Alertmanager of one's own, to see which notification goes where."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from harness import direct, packages, processes, starting

START_SECONDS = 30.0  # 0.3 s on an idle machine
STOP_SECONDS = 10.0
ANSWER_SECONDS = 10.0
PROGRAMS = ("alertmanager", "prometheus-alertmanager")  # the latter is Debian's name

INSTALL_HELP = """\
no Alertmanager in reach. Do one of these:
  Debian, Ubuntu   apt-get install prometheus-alertmanager   (as root this is done for you, and no service is started)
  any              put the program alertmanager of its release on PATH"""


@dataclass(frozen=True)
class Alertmanager:
    """An Alertmanager of ours that is ready; `address` is host:port, as Prometheus is told of it."""

    address: str
    pid: int

    def alerts(self) -> list[dict[str, Any]]:
        """Return the alerts it has, with their states, in its API's form."""
        answer = direct.get(f"http://{self.address}/api/v2/alerts", timeout_seconds=ANSWER_SECONDS)
        found: list[dict[str, Any]] = answer.raise_for_status().json()
        return found


def find_server() -> Path | None:
    """The server's program, or None when none is installed."""
    found = next(filter(None, map(shutil.which, PROGRAMS)), None)
    return Path(found) if found else None


def prepare() -> str:
    """Return where the server's program is, after installing the distribution's package if need be.

    Raises HarnessError saying what to install where that cannot be done here.
    """
    return str(packages.ensure("prometheus-alertmanager", find_server, what="Alertmanager", help_text=INSTALL_HELP))


@contextlib.contextmanager
def run(directory: Path, configuration: Mapping[str, Any]) -> Iterator[Alertmanager]:
    """Run an Alertmanager on loopback and by itself, its data and log below `directory`, until the block ends.

    Raises HarnessError where there is none to be had or it does not come up, as with a configuration that is wrong.
    """
    program = Path(prepare())
    directory = directory.absolute()
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "alertmanager.yml").write_text(yaml.safe_dump(dict(configuration)))
    with contextlib.ExitStack() as stack:
        yield starting.with_retries(stack, lambda trial, _: _start(trial, program, directory, processes.free_port()))


def _start(stack: contextlib.ExitStack, program: Path, directory: Path, port: int) -> Alertmanager:
    log = directory / "alertmanager.log"
    address = f"{processes.LOOPBACK}:{port}"
    process = processes.start(
        [
            program,
            f"--config.file={directory / 'alertmanager.yml'}",
            f"--storage.path={directory / 'data'}",
            f"--web.listen-address={address}",
            "--cluster.listen-address=",  # there is no other one to talk to
            "--log.level=warn",
        ],
        log=log,
        cwd=directory,
    )
    stack.callback(processes.stop, process, grace_seconds=STOP_SECONDS)
    starting.wait_until_up(process, lambda: _ready(address), what="Alertmanager's", seconds=START_SECONDS, logs=[log])
    return Alertmanager(address, process.pid)


def _ready(address: str) -> bool:
    with contextlib.suppress(httpx.HTTPError):
        return direct.get(f"http://{address}/-/ready", timeout_seconds=ANSWER_SECONDS).is_success
    return False
