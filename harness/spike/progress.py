"""What a run tells the person who waits for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class Progress(Protocol):
    """Receives a run's steps and, while the load runs, one sample a second."""

    def step(self, text: str) -> None:
        """Say what begins now."""

    def sample(self, sample: Mapping[str, Any], counts: Mapping[str, int]) -> None:
        """Show a timeline sample and the running counts (offered, accepted, refusals, completed)."""

    def close(self) -> None:
        """End what is shown: the run is over, well or not."""


class SilentProgress:
    """Shows nothing, for tests and `--json`."""

    def step(self, text: str) -> None:
        """Ignore the step."""

    def sample(self, sample: Mapping[str, Any], counts: Mapping[str, int]) -> None:
        """Ignore the sample."""

    def close(self) -> None:
        """Do nothing."""
