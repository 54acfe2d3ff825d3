"""A cluster's API by kubectl: applying manifests, and waits that say what was missing."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.chart import yaml_strict
from harness.cluster import shell
from harness.errors import HarnessError

ANSWER_SECONDS = 60.0
POLL_SECONDS = 1.0
FIELD_MANAGER = "celery-workers-harness"


@dataclass(frozen=True)
class Kubectl:
    """kubectl for one kubeconfig."""

    program: Path
    kubeconfig: Path

    def run(self, *arguments: str | Path, doing: str, seconds: float = ANSWER_SECONDS, stdin: str | None = None) -> str:
        """Run kubectl and return its stdout. Raises HarnessError."""
        command = [self.program, "--kubeconfig", self.kubeconfig, *arguments]
        return shell.run(command, doing=doing, timeout_seconds=seconds, stdin=stdin)

    def get(self, *arguments: str) -> dict[str, Any]:
        """Return what `kubectl get` answers; empty where there is no such object. Raises HarnessError."""
        text = self.run(
            "get", *arguments, "--ignore-not-found", "--output", "json", doing=f"reading {' '.join(arguments)}"
        )
        return dict(json.loads(text)) if text.strip() else {}

    def apply(self, manifests: Iterable[Mapping[str, Any]], *, doing: str) -> None:
        """Apply objects on the server's side, so that large definitions fit and what we own is marked as ours."""
        text = yaml_strict.dump_all(list(manifests))
        self.apply_text(text, doing=doing)

    def apply_text(self, text: str, *, doing: str) -> None:
        """Apply objects given as YAML. Raises HarnessError."""
        self.run(
            "apply", "--server-side", "--force-conflicts", f"--field-manager={FIELD_MANAGER}", "--filename", "-",
            doing=doing, seconds=120.0, stdin=text,
        )  # fmt: skip

    def wait_available(self, deployment: str, *, namespace: str, seconds: float) -> None:
        """Return once a Deployment is rolled out; else raise HarnessError with the namespace's newest events."""
        try:
            self.run(
                "rollout", "status", f"deployment/{deployment}", "--namespace", namespace, f"--timeout={seconds:.0f}s",
                doing=f"waiting for {namespace}/{deployment}", seconds=seconds + 10,
            )  # fmt: skip
        except HarnessError as error:
            raise HarnessError(f"{error}\n{self.recent_events(namespace)}") from error

    def wait_api_service(self, name: str, *, seconds: float) -> None:
        """Return once an aggregated API answers. Raises HarnessError with what its condition says."""
        deadline = time.monotonic() + seconds
        while (message := api_service_problem(self.get("apiservice", name))) is not None:
            if time.monotonic() > deadline:
                raise HarnessError(f"API {name} not available after {seconds:.0f} s: {message}")
            time.sleep(POLL_SECONDS)

    def recent_events(self, namespace: str) -> str:
        """Return the namespace's newest events, as kubectl prints them."""
        listed = self.run(
            "get",
            "events",
            "--namespace",
            namespace,
            "--sort-by=.lastTimestamp",
            doing=f"reading events of {namespace}",
        )
        return "\n".join(listed.splitlines()[-15:])


def api_service_problem(document: Mapping[str, Any]) -> str | None:
    """Return why an APIService is not available, None when it is."""
    conditions = (document.get("status") or {}).get("conditions") or []
    for condition in conditions:
        if condition.get("type") == "Available":
            return None if condition.get("status") == "True" else str(condition.get("message", condition.get("reason")))
    return "no answer yet"
