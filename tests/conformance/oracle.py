"""Kubernetes' own controller, compiled from tools/hpa-oracle, asked what it would decide."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from harness import tools
from harness.errors import HarnessError
from tests.conformance.hours import Document

TOOL = tools.GoTest("hpa-oracle", "celery-workers.example/tools/hpa-oracle", module="k8s.io/kubernetes")
ANSWER_SECONDS = 600
GRACE_SECONDS = 30

Decisions = list[int]
Oracle = Callable[[Sequence[Document]], list[Decisions]]


class Controller:
    """An oracle: called with hours, it returns the controller's decisions for each."""

    def __init__(self) -> None:
        """Build the program where it was never built. Raises HarnessError."""
        self.program = tools.build(TOOL)

    def __call__(self, hours: Sequence[Document]) -> list[Decisions]:
        """Ask. Raises HarnessError with the program's output when it fails or takes more than ten minutes."""
        with tempfile.TemporaryDirectory() as directory:
            source, target = Path(directory, "hours"), Path(directory, "answers")
            source.write_text("".join(json.dumps(hour) + "\n" for hour in hours))
            output, code = _run(self.program, source, target)
            if code != 0:
                raise HarnessError(f"the oracle failed ({code}):\n{output[-4000:]}")
            return [json.loads(line)["decisions"] for line in target.read_text().splitlines()]


def _run(program: Path, source: Path, target: Path) -> tuple[str, int]:
    try:
        done = subprocess.run(
            [program, "-test.run", "^TestDecide$", "-test.timeout", f"{ANSWER_SECONDS}s"],
            env={**os.environ, "ORACLE_IN": str(source), "ORACLE_OUT": str(target)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=ANSWER_SECONDS + GRACE_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise HarnessError(f"the oracle did not answer within {ANSWER_SECONDS} s") from None
    return done.stdout, done.returncode
