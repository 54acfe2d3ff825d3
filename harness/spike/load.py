"""The load generator of a run: one headless Locust."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness import processes

LOCUSTFILE = Path(__file__).resolve().parents[2] / "loadtests" / "spike.py"
STOP_GRACE_SECONDS = 5.0
JOURNALS = "journals"  # in a run's directory; made when the load begins
ENDED_BY_ITSELF = (0, 1)  # every task did its work, or not; the ledger says which did not
# What a load generator inherits from the caller: nothing that could point it at another broker or another run.
INHERITED = ("PATH", "HOME", "LANG", "TMPDIR", "SSL_CERT_FILE")


@dataclass(frozen=True)
class Load:
    """What the load generator is told, by environment variables only."""

    broker_url: str
    topology: Path
    scenario: Path
    run_id: str
    journals: Path
    effects: Mapping[str, str]
    start_at: float | None = None  # seconds since the epoch; None: as soon as Locust is up

    def settings(self) -> dict[str, str]:
        """Return the variables that tell Locust all this; the paths are those where it runs."""
        return {
            "BROKER_URL": self.broker_url,
            "CELERY_TOPOLOGY": str(self.topology),
            "SPIKE_SCENARIO": str(self.scenario),
            "SPIKE_RUN_ID": self.run_id,
            "SPIKE_JOURNAL_DIR": str(self.journals),
            "SPIKE_EFFECTS": json.dumps(dict(self.effects)),
            **({} if self.start_at is None else {"SPIKE_START_AT": str(self.start_at)}),
            "PYTHONUNBUFFERED": "1",
        }

    def environment(self) -> dict[str, str]:
        """Return the complete environment of a Locust process on this machine."""
        inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
        return {**inherited, **self.settings()}

    def arguments(self, *, locustfile: Path = LOCUSTFILE) -> list[str]:
        """Return the arguments of `locust`: no UI, it ends by itself, its statistics go beside the journals."""
        statistics = self.journals / "locust"
        return ["-f", str(locustfile), "--headless", "--csv", str(statistics), "--only-summary"]


@contextmanager
def locust(load: Load, *, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run Locust on the scenario; it ends by itself, or with the block."""
    load.journals.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "locust", *load.arguments()]
    process = processes.start(command, log=log, env=load.environment())
    try:
        yield process
    finally:
        processes.stop(process, grace_seconds=STOP_GRACE_SECONDS)
