"""The outside world of a local run: stand-in services, the application's database and its files."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import processes

START_TIMEOUT_SECONDS = 20.0
STOP_GRACE_SECONDS = 5.0


@dataclass(frozen=True)
class Services:
    """Where the stand-ins listen and where effects are found afterwards."""

    smtp_url: str
    http_url: str
    database_url: str
    files: Path
    deliveries: Path

    def secret(self) -> dict[str, str]:
        """Return the string data of the Secret `examx-services`."""
        return {
            "EXAMX_SMTP_URL": self.smtp_url,
            "EXAMX_SERVICES_URL": self.http_url,
            "EXAMX_DATABASE_URL": self.database_url,
            "EXAMX_FILES_DIR": str(self.files),
        }


@contextmanager
def stand_ins(directory: Path, profile: Mapping[str, Any]) -> Iterator[Services]:
    """Run `examx.standins` with the scenario's profile; everything it writes stays in `directory`.

    A later call in the same directory goes on with what is there.

    Raises:
        HarnessError: it did not come up within 20 s.
    """
    files = directory / "files"
    files.mkdir(parents=True, exist_ok=True)
    profile_file, ready_file = directory / "profile.json", directory / "ready.json"
    ready_file.unlink(missing_ok=True)  # of stand-ins that were killed
    profile_file.write_text(json.dumps(profile))
    process = processes.start(_command(directory, profile_file, ready_file), log=directory / "stand-ins.log")
    try:
        what = f"stand-in services (log: {directory / 'stand-ins.log'})"
        processes.wait_until(ready_file.exists, timeout_seconds=START_TIMEOUT_SECONDS, what=what, process=process)
        ports = json.loads(ready_file.read_text())
        yield Services(
            smtp_url=f"smtp://{processes.LOOPBACK}:{ports['smtp_port']}",
            http_url=f"http://{processes.LOOPBACK}:{ports['http_port']}",
            database_url=f"sqlite:///{directory / 'examx.sqlite'}",
            files=files,
            deliveries=directory / "deliveries.jsonl",
        )
    finally:
        processes.stop(process, grace_seconds=STOP_GRACE_SECONDS)


def _command(directory: Path, profile_file: Path, ready_file: Path) -> list[str | Path]:
    listen: list[str | Path] = ["--host", processes.LOOPBACK, "--smtp-port", "0", "--http-port", "0"]
    where: list[str | Path] = ["--directory", directory, "--profile", profile_file, "--ready-file", ready_file]
    return [sys.executable, "-m", "examx.standins", *listen, *where]
