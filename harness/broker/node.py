"""A RabbitMQ node of our own, as ordinary processes in one directory."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from harness import processes, starting
from harness.broker.management import Management
from harness.errors import HarnessError

START_SECONDS = 60.0  # about 8 s on an idle machine; a loaded one takes several times that
# A delivery that is not acknowledged within this closes its worker's channel and with it the whole worker, so it stands
# above any task's time limit; the queues' own consumer-timeout (RabbitMQ 4.0 and later) can be shorter.
CONSUMER_TIMEOUT_SECONDS = 6 * 3600
NAME_FILE = "name"

_DIRECTORIES = (
    "/usr/lib/rabbitmq/bin",  # Debian, Fedora; before PATH, whose script changes user and drops the environment
    "/opt/homebrew/opt/rabbitmq/sbin",
    "/usr/local/opt/rabbitmq/sbin",
    "/usr/local/sbin",
    "/opt/rabbitmq/sbin",
)


@dataclass(frozen=True)
class Ports:
    """The TCP ports of one node."""

    amqp: int
    management: int
    distribution: int
    epmd: int
    metrics: int


class Control:
    """Ends and starts a node again, with its data, under its name and on its ports.

    Nothing waits here but `stop`; who calls must be the thread that lives as long as the node (see processes.start).
    """

    def __init__(self, server: Path, home: Path, settings: Mapping[str, str], ports: Ports) -> None:
        self._server, self._home, self._settings, self._ports = server, home, settings, ports
        self.process = self._begin()

    def _begin(self) -> subprocess.Popen[bytes]:
        return processes.start([self._server], log=self._home / "output.log", env=self._settings)

    def signal(self, number: int) -> None:
        """Send a signal to the node: SIGTERM for an orderly stop (about 6 s), SIGKILL for an accident."""
        if self.process.poll() is None:
            self.process.send_signal(number)

    @property
    def runs(self) -> bool:
        """Whether its process is there; it may not answer yet."""
        return self.process.poll() is None

    def start(self) -> None:
        """Start it again; returns at once. Does nothing while it runs."""
        if not self.runs:
            self.process = self._begin()

    def answers(self) -> bool:
        """Whether it serves."""
        with Management(management_url(self._ports), timeout_seconds=1.0) as api:
            return self.runs and api.ping()

    def tell(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Begin a command of `rabbitmqctl` on the node; it takes a second or two. Its output goes to control.log."""
        program = self._server.with_name("rabbitmqctl")
        return processes.start([program, *arguments], log=self._home / "control.log", env=self._settings)

    def stop(self) -> None:
        """Kill it: its data is thrown away with the run, and an orderly stop takes 6 s."""
        processes.stop(self.process, grace_seconds=2.0, first_signal=signal.SIGKILL)


@dataclass(frozen=True)
class Node:
    """A node that answers."""

    ports: Ports
    epmd_pid: int
    control: Control

    @property
    def pid(self) -> int:
        """The node's process."""
        return self.control.process.pid


def find_server() -> Path | None:
    """RabbitMQ's own start script, or None when it is not installed."""
    for directory in _DIRECTORIES:
        candidate = Path(directory, "rabbitmq-server")
        if os.access(candidate, os.X_OK):
            return candidate
    found = shutil.which("rabbitmq-server")
    return Path(found) if found else None


def configuration(ports: Ports) -> str:
    """rabbitmq.conf of a node that serves one run on this machine."""
    return "\n".join(
        (
            f"listeners.tcp.1 = 127.0.0.1:{ports.amqp}",
            "management.tcp.ip = 127.0.0.1",
            f"management.tcp.port = {ports.management}",
            "prometheus.tcp.ip = 127.0.0.1",
            f"prometheus.tcp.port = {ports.metrics}",
            "loopback_users.guest = true",
            f"consumer_timeout = {CONSUMER_TIMEOUT_SECONDS * 1000}",
            # A run stores some ten thousand short messages; the default (50 MB, free memory on later versions) would
            # block publishers on a nearly full laptop for no reason.
            "disk_free_limit.absolute = 20MB",
            "log.file.level = warning",
            "log.console = false",
            "",
        )
    )


def environment(directory: Path, ports: Ports, *, name: str) -> dict[str, str]:
    """The node's environment: everything it reads or writes is in `directory`, nothing of the system's own node."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "LANG": "C.UTF-8",
        "HOME": str(directory),  # the Erlang cookie
        "RABBITMQ_NODENAME": name,
        "RABBITMQ_CONF_ENV_FILE": str(directory / "rabbitmq-env.conf"),
        "RABBITMQ_CONFIG_FILE": str(directory / "rabbitmq.conf"),
        "RABBITMQ_ADVANCED_CONFIG_FILE": str(directory / "advanced.config"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(directory / "enabled_plugins"),
        "RABBITMQ_MNESIA_BASE": str(directory / "data"),
        "RABBITMQ_LOG_BASE": str(directory / "log"),
        "RABBITMQ_PID_FILE": str(directory / "node.pid"),
        "RABBITMQ_DIST_PORT": str(ports.distribution),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        "ERL_EPMD_PORT": str(ports.epmd),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        # Makes the start script replace itself by the Erlang VM, so that the pid we know is the node's.
        "RUNNING_UNDER_SYSTEMD": "true",
    }


@contextlib.contextmanager
def run(server: Path, directory: Path, *, port: int | None = None, keep: bool = False) -> Iterator[Node]:
    """Run one node below `directory` until the block ends.

    `port` fixes the AMQP port: taken, it is an InputError. With `keep` a later call in the same directory goes on with
    the node's data, on other ports. Raises HarnessError when the node does not come up.
    """
    if port is not None:
        processes.require_free_port(port, option="RabbitMQ's port")

    def start(trial: contextlib.ExitStack, attempt: int) -> Node:
        home = directory / ("node" if keep else f"node-{attempt}")
        return _start(trial, server, home, _choose_ports(port), name=_name(home))

    with contextlib.ExitStack() as stack:
        yield starting.with_retries(stack, start)


def _name(home: Path) -> str:
    """Return the node's name: its data belongs to it."""
    file = home / NAME_FILE
    if not file.exists():
        home.mkdir(parents=True, exist_ok=True)
        file.write_text(f"cw{secrets.token_hex(4)}@localhost")
    return file.read_text()


def _choose_ports(port: int | None) -> Ports:
    chosen: set[int] = set()
    while len(chosen) < len(fields(Ports)):
        chosen.add(processes.free_port())
    amqp, *others = chosen
    return Ports(port or amqp, *others)


def _start(stack: contextlib.ExitStack, server: Path, home: Path, ports: Ports, *, name: str) -> Node:
    _write_files(home, ports)
    settings = environment(home, ports, name=name)
    log = home / "output.log"
    # epmd is started by us, not by the node: the node's would detach, listen on every address and outlive it.
    epmd = processes.start([_find_epmd(), "-port", str(ports.epmd)], log=log, env=settings)
    stack.callback(processes.stop, epmd, grace_seconds=2.0)
    control = Control(server, home, settings, ports)
    stack.callback(control.stop)
    _wait_until_up(control.process, home, ports)
    return Node(ports=ports, epmd_pid=epmd.pid, control=control)


def _write_files(home: Path, ports: Ports) -> None:
    (home / "log").mkdir(parents=True, exist_ok=True)
    (home / "rabbitmq.conf").write_text(configuration(ports))
    (home / "enabled_plugins").write_text("[rabbitmq_management,rabbitmq_prometheus].\n")
    (home / "advanced.config").write_text("[].\n")
    (home / "rabbitmq-env.conf").write_text("")


def _find_epmd() -> str:
    found = shutil.which("epmd")
    if found:
        return found
    erl = shutil.which("erl")
    beside = sorted(Path(erl).resolve().parent.parent.glob("**/erts-*/bin/epmd")) if erl else []
    if not beside:
        raise HarnessError("RabbitMQ is installed but Erlang's epmd was not found: install Erlang completely")
    return str(beside[-1])


def _wait_until_up(node: subprocess.Popen[bytes], home: Path, ports: Ports) -> None:
    """Return when both listeners serve. The management API comes up after AMQP, so asking it is enough."""
    with Management(management_url(ports)) as api:
        starting.wait_until_up(
            node, api.ping, what="RabbitMQ's", seconds=START_SECONDS, logs=[home / "output.log"], more=home / "log"
        )


def amqp_url(ports: Ports) -> str:
    """The node's AMQP URL; guest may log in from the loopback only."""
    return f"amqp://guest:guest@127.0.0.1:{ports.amqp}//"


def metrics_url(ports: Ports) -> str:
    """Where the node's plugin rabbitmq_prometheus serves: /metrics and /metrics/detailed below it."""
    return f"http://127.0.0.1:{ports.metrics}"


def management_url(ports: Ports) -> str:
    """The node's management URL."""
    return f"http://guest:guest@127.0.0.1:{ports.management}"
