"""RabbitMQ in a container, where an engine and an image are in reach."""

from __future__ import annotations

import contextlib
import logging
import secrets
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import processes
from harness.broker.management import Management
from harness.broker.node import CONSUMER_TIMEOUT_SECONDS
from harness.errors import HarnessError
from harness.logs import tail

IMAGES = ("rabbitmq:3.13-management", "rabbitmq:4-management", "rabbitmq:3-management", "rabbitmq:management")
ANSWER_SECONDS = 10.0  # `info` and `image inspect` answer at once or the engine is not well
PULL_SECONDS = 180.0
START_SECONDS = 90.0
REMOVE_SECONDS = 30.0

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Engine:
    """A container engine that answers, and an image it has."""

    program: str
    image: str


def find_engine(
    *,
    programs: Sequence[str] = ("docker", "podman"),
    images: Sequence[str] = IMAGES,
    answer_seconds: float = ANSWER_SECONDS,
) -> Engine | None:
    """The first engine that answers and has, or can fetch, one of the images; None when there is none. Never hangs."""

    def answers(*command: str) -> bool:
        return _succeeds(command, timeout_seconds=answer_seconds)

    working = [program for program in programs if shutil.which(program) and answers(program, "info")]
    for program in working:
        for image in images:
            if answers(program, "image", "inspect", image):
                return Engine(program, image)
    for program in working:
        _LOG.info("fetching the image %s with %s (at most %.0f s)", images[0], program, PULL_SECONDS)
        if _succeeds([program, "pull", "--quiet", images[0]], timeout_seconds=PULL_SECONDS):
            return Engine(program, images[0])
    return None


@dataclass(frozen=True)
class Urls:
    """Where the container's RabbitMQ serves."""

    amqp: str
    management: str
    metrics: str


def run_command(
    engine: Engine, *, name: str, amqp_port: int, management_port: int, metrics_port: int, configuration: Path
) -> list[str]:
    """The command that runs the container in the foreground; it removes itself when it ends."""
    return [
        engine.program,
        "run",
        "--rm",
        "--name",
        name,
        "--publish",
        f"127.0.0.1:{amqp_port}:5672",
        "--publish",
        f"127.0.0.1:{management_port}:15672",
        "--publish",
        f"127.0.0.1:{metrics_port}:15692",
        "--volume",
        f"{configuration}:/etc/rabbitmq/conf.d/90-run.conf:ro",
        engine.image,
    ]


def ended_by_term(command: Sequence[str]) -> list[str]:
    """The command such that our death sends it SIGTERM: the engine's client passes that on, SIGKILL it could not."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM", "--", *command] if setpriv else list(command)


def configuration_text() -> str:
    """Settings added to the image's own; the same figures and reasons as in harness.broker.node."""
    return "\n".join(
        (
            # Inside the container every client comes from outside its loopback; only 127.0.0.1 is published.
            "loopback_users.guest = false",
            f"consumer_timeout = {CONSUMER_TIMEOUT_SECONDS * 1000}",
            "disk_free_limit.absolute = 20MB",
            "",
        )
    )


@contextlib.contextmanager
def run(engine: Engine, directory: Path, *, port: int | None = None) -> Iterator[Urls]:
    """Run the container until the block ends. Raises HarnessError, InputError."""
    amqp_port = processes.require_free_port(port, option="RabbitMQ's port") if port else processes.free_port()
    management_port, metrics_port = processes.free_port(), processes.free_port()
    configuration = directory / "90-run.conf"
    configuration.write_text(configuration_text())
    configuration.chmod(0o644)  # read by the container's own user
    name = f"celery-workers-{secrets.token_hex(6)}"
    log = directory / "container.log"
    command = run_command(
        engine,
        name=name,
        amqp_port=amqp_port,
        management_port=management_port,
        metrics_port=metrics_port,
        configuration=configuration.resolve(),
    )
    child = processes.start(ended_by_term(command), log=log)
    try:
        management = f"http://guest:guest@127.0.0.1:{management_port}"
        _wait_until_up(child, management, log)
        metrics = f"http://127.0.0.1:{metrics_port}"
        yield Urls(f"amqp://guest:guest@127.0.0.1:{amqp_port}//", management, metrics)
    finally:
        _succeeds([engine.program, "rm", "--force", name], timeout_seconds=REMOVE_SECONDS)
        processes.stop(child, grace_seconds=10.0)


def _wait_until_up(child: subprocess.Popen[bytes], management: str, log: Path) -> None:
    with Management(management) as api:
        try:
            processes.wait_until(api.ping, timeout_seconds=START_SECONDS, what="the RabbitMQ container", process=child)
        except HarnessError as error:
            raise HarnessError(f"{error}; its last words:\n{tail(log)}") from error


def _succeeds(command: Sequence[str], *, timeout_seconds: float) -> bool:
    try:
        done = subprocess.run(command, capture_output=True, timeout=timeout_seconds, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
