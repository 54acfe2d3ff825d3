"""What the load generator is told by its environment."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from harness.broker.urls import accepts_tcp, parse_amqp
from harness.errors import InputError

DEFAULT_SCENARIO = "email-campaign"
DEFAULT_VALUES = "prod"
LONGEST_WAIT_SECONDS = 120.0


@dataclass(frozen=True, kw_only=True)
class SpikeSettings:
    """`effects` is SPIKE_EFFECTS as given, None when tasks are followed by Celery's events.

    `start_at` is when the load begins, in seconds since the epoch; None: at once. `front_url` is the web front that
    takes the tasks; None: the broker does.
    """

    broker_url: str
    topology: Mapping[str, Any]
    run_id: str
    journals: Path | None
    effects: str | None
    start_at: float | None = None
    front_url: str | None = None


def from_environment(environment: Mapping[str, str]) -> SpikeSettings:
    """Read and check the environment; the broker must answer. Raises InputError, HarnessError where helm is missing."""
    journals = environment.get("SPIKE_JOURNAL_DIR")
    return SpikeSettings(
        broker_url=_broker_url(environment),
        topology=_topology(environment.get("CELERY_TOPOLOGY")),
        run_id=environment.get("SPIKE_RUN_ID") or new_run_id(),
        journals=Path(journals) if journals else None,
        effects=environment.get("SPIKE_EFFECTS") or None,
        start_at=_start_at(environment.get("SPIKE_START_AT")),
        front_url=front_url(environment.get("SPIKE_FRONT_URL"), source="SPIKE_FRONT_URL"),
    )


def front_url(text: str | None, *, source: str) -> str | None:
    """Check the URL of a web front, which must answer; None for none. Raises InputError naming `source`."""
    if not text:
        return None
    try:
        parts = urlsplit(text)
        port = parts.port or {"http": 80, "https": 443}[parts.scheme]
    except (ValueError, KeyError) as error:
        raise InputError(f"{source} must look like http://host:8000, not {text!r}") from error
    if not parts.hostname or not accepts_tcp(parts.hostname, port):
        raise InputError(f"no web front answers at {source} ({text}): start one with `python -m examx.web`")
    return text.rstrip("/")


def _start_at(text: str | None) -> float | None:
    if not text:
        return None
    try:
        at = float(text)
    except ValueError as error:
        raise InputError(f"SPIKE_START_AT is {text!r}, expected seconds since the epoch") from error
    ahead = at - time.time()
    if not ahead <= LONGEST_WAIT_SECONDS:  # also catches not-a-number
        raise InputError(f"SPIKE_START_AT is {ahead:.0f} s ahead, at most {LONGEST_WAIT_SECONDS:.0f} s are waited for")
    return at


def new_run_id() -> str:
    """Return an id no other run has; task ids are made from it."""
    return f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"


def _broker_url(environment: Mapping[str, str]) -> str:
    url = environment.get("BROKER_URL")
    if not url:
        raise InputError("BROKER_URL is not set; give the broker to load: amqp://user:password@host:5672/vhost")
    parts = parse_amqp(url, source="BROKER_URL")
    if not accepts_tcp(parts.host, parts.port):
        raise InputError(f"no broker answers at BROKER_URL ({parts.shown}): start it, or correct the URL")
    return url


def _topology(path: str | None) -> dict[str, Any]:
    if not path:
        # Imported here: with a topology given, helm is not needed.
        from harness.chart import render

        return render.topology(render.render(render.environment_files(DEFAULT_VALUES)))
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"CELERY_TOPOLOGY {path}: {error.strerror}; unset it to use values/prod.yaml") from error
    except ValueError as error:
        raise InputError(f"CELERY_TOPOLOGY {path} is not JSON: {error}") from error
    missing = {"queues", "classes", "routes", "default_queue"} - set(document if isinstance(document, dict) else ())
    if missing:
        raise InputError(f"CELERY_TOPOLOGY {path} is not a topology.json: no {', '.join(sorted(missing))}")
    return dict(document)
