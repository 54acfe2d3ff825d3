"""Programs of tools/ that ask the real thing: each reads JSON lines and answers each with one."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness import tools
from harness.errors import HarnessError

CONTROLLER = tools.GoTest("hpa-oracle", "celery-workers.example/tools/hpa-oracle", module="k8s.io/kubernetes")
ANSWER_SECONDS = 600
GRACE_SECONDS = 30

Document = dict[str, Any]
Decisions = list[int]
Oracle = Callable[[Sequence[Document]], list[Decisions]]


class Program:
    """A program under tools/, built where it was never built. Raises HarnessError."""

    def __init__(self, tool: tools.GoTest, environment: Mapping[str, str] | None = None) -> None:
        self.tool, self._environment = tool, dict(environment or {})
        self._path = tools.build(tool)

    def ask(self, documents: Sequence[Document]) -> list[Document]:
        """Return its answers. Raises HarnessError with its output when it fails or takes more than ten minutes."""
        with tempfile.TemporaryDirectory() as directory:
            source, target = Path(directory, "in"), Path(directory, "out")
            source.write_text("".join(json.dumps(one) + "\n" for one in documents))
            output, code = self._run({"ORACLE_IN": str(source), "ORACLE_OUT": str(target)})
            if code != 0:
                raise HarnessError(f"{self.tool.name} failed ({code}):\n{output[-4000:]}")
            return [json.loads(line) for line in target.read_text().splitlines()]

    def _run(self, files: Mapping[str, str]) -> tuple[str, int]:
        try:
            done = subprocess.run(
                [self._path, "-test.run", "^TestDecide$", "-test.timeout", f"{ANSWER_SECONDS}s"],
                env={**os.environ, **self._environment, **files},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=ANSWER_SECONDS + GRACE_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise HarnessError(f"{self.tool.name} did not answer within {ANSWER_SECONDS} s") from None
        return done.stdout, done.returncode


class Controller:
    """Kubernetes' own controller: called with hours, it returns its decisions for each."""

    def __init__(self) -> None:
        self._program = Program(CONTROLLER)

    def __call__(self, hours: Sequence[Document]) -> list[Decisions]:
        """Ask. Raises HarnessError."""
        return [answer["decisions"] for answer in self._program.ask(hours)]
