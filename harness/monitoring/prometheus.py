"""Running a Prometheus of one's own beside a run, and asking one."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from harness import direct, packages, processes, starting
from harness.errors import HarnessError, InputError
from harness.monitoring import answers, configuration
from harness.monitoring.answers import Curve, Sample
from harness.monitoring.configuration import Target
from harness.urls import redact

START_SECONDS = 30.0  # 0.5 s on an idle machine
STOP_SECONDS = 10.0
CHECK_SECONDS = 30.0
ANSWER_SECONDS = 20.0
INTERVAL_SECONDS = 5.0
KEPT = "30d"  # the dashboards look back a month

INSTALL_HELP = """\
no Prometheus in reach. Do one of these:
  Debian, Ubuntu   apt-get install prometheus   (as root this is done for you, and no service is started)
  Fedora           dnf install golang-github-prometheus
  macOS            brew install prometheus
  any              put the programs prometheus and promtool of its release on PATH"""


class Client(direct.Connected):
    """Asks a Prometheus at `url`. Every method raises HarnessError where it does not answer or refuses."""

    def __init__(self, url: str, *, timeout_seconds: float = ANSWER_SECONDS) -> None:
        self.url = url.rstrip("/")
        self._client = direct.client(self.url, timeout_seconds=timeout_seconds)

    def ready(self) -> bool:
        """Whether it answers queries."""
        try:
            return self._client.get("/-/ready").status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False

    def query(self, expression: str, *, at: float | None = None) -> list[Sample]:
        """Evaluate at a moment, seconds since the epoch; now without one. Raises InputError for a wrong expression."""
        parameters = {"query": expression} | ({} if at is None else {"time": str(at)})
        return answers.samples(self._api("query", parameters))

    def query_range(self, expression: str, *, start: float, end: float, step_seconds: float) -> list[Curve]:
        """Evaluate at each step from start to end, seconds since the epoch. Raises InputError as `query`."""
        parameters = {"query": expression, "start": str(start), "end": str(end), "step": str(step_seconds)}
        return answers.curves(self._api("query_range", parameters))

    def alerts(self) -> list[dict[str, Any]]:
        """Return the alerts that fire or are pending, in the API's form."""
        return list(self._api("alerts", {})["alerts"])

    def rule_groups(self) -> list[dict[str, Any]]:
        """Return the groups of rules with what each last did, in the API's form."""
        return list(self._api("rules", {})["groups"])

    def targets(self) -> list[dict[str, Any]]:
        """Return what is scraped and how the last scrape went, in the API's form."""
        return list(self._api("targets", {"state": "active"})["activeTargets"])

    def _api(self, name: str, parameters: Mapping[str, str]) -> dict[str, Any]:
        where = f"Prometheus at {redact(self.url)}"
        try:
            # In the body, as an expression can be longer than an address may be.
            answer = (
                self._client.post(f"/api/v1/{name}", data=parameters)
                if "query" in parameters
                else self._client.get(f"/api/v1/{name}", params=parameters)
            )
            document = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise HarnessError(f"{where} does not answer: {type(error).__name__}") from error
        if document.get("status") != "success":
            said = f"{where}: {document.get('error', answer.status_code)}"
            raise InputError(said) if document.get("errorType") == "bad_data" else HarnessError(said)
        data: dict[str, Any] = document["data"]
        return data


@dataclass(frozen=True)
class Prometheus:
    """A Prometheus of ours that is ready. `url` is its page and its API."""

    url: str
    pid: int
    client: Client


def find_server() -> Path | None:
    """The server's program, or None when none is installed."""
    found = shutil.which("prometheus")
    return Path(found) if found else None


def prepare() -> str:
    """Return where the server's program is, after installing the distribution's package if need be.

    Raises HarnessError saying what to install where that cannot be done here.
    """
    return str(packages.ensure("prometheus", find_server, what="Prometheus", help_text=INSTALL_HELP))


@contextlib.contextmanager
def run(
    directory: Path,
    targets: Sequence[Target],
    *,
    rule_files: Sequence[Path] = (),
    interval_seconds: float = INTERVAL_SECONDS,
    alertmanagers: Sequence[str] = (),
    port: int | None = None,
) -> Iterator[Prometheus]:
    """Run a Prometheus on loopback, its data and log below `directory`, until the block ends.

    `port` fixes where its page is. Raises InputError for a port that is taken and rules that are wrong, HarnessError
    where there is no Prometheus to be had or it does not come up.
    """
    program = Path(prepare())
    if port is not None:
        processes.require_free_port(port, option="Prometheus' port")
    directory = directory.absolute()
    directory.mkdir(parents=True, exist_ok=True)
    check_rules(rule_files)
    text = yaml.safe_dump(
        configuration.document(
            targets,
            rule_files=[str(path.absolute()) for path in rule_files],
            interval_seconds=interval_seconds,
            alertmanagers=alertmanagers,
        )
    )
    (directory / "prometheus.yml").write_text(text)
    with contextlib.ExitStack() as stack:
        yield starting.with_retries(
            stack, lambda trial, _: _start(trial, program, directory, port or processes.free_port())
        )


def check_rules(paths: Sequence[Path]) -> None:
    """Raise InputError with promtool's words for a file of rules that Prometheus would not read."""
    promtool = shutil.which("promtool")
    if not paths or promtool is None:  # the server itself then refuses them, in its log
        return
    command = [promtool, "check", "rules", *map(str, paths)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=CHECK_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise HarnessError(f"`{' '.join(command)}` took longer than {CHECK_SECONDS:g} s") from error
    if done.returncode != 0:
        raise InputError(f"rules that Prometheus refuses:\n{(done.stderr or done.stdout).strip()}")


def _start(stack: contextlib.ExitStack, program: Path, directory: Path, port: int) -> Prometheus:
    log = directory / "prometheus.log"
    process = processes.start(
        [
            program,
            f"--config.file={directory / 'prometheus.yml'}",
            f"--storage.tsdb.path={directory / 'data'}",
            f"--storage.tsdb.retention.time={KEPT}",
            f"--web.listen-address={processes.LOOPBACK}:{port}",
            "--log.level=warn",
        ],
        log=log,
        cwd=directory,
    )
    stack.callback(processes.stop, process, grace_seconds=STOP_SECONDS)
    url = f"http://{processes.LOOPBACK}:{port}"
    client = stack.enter_context(Client(url))
    starting.wait_until_up(process, client.ready, what="Prometheus'", seconds=START_SECONDS, logs=[log])
    return Prometheus(url, process.pid, client)
