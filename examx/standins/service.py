"""What every stand-in does with a request: wait as the profile says, record it, then answer."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from examx.standins.journal import Journal
    from examx.standins.profile import Outcome, Profile


class Desk:
    """The profile in force, the journal, and how often each task id has come to each service."""

    def __init__(self, *, profile: Profile, journal: Journal) -> None:
        self.profile = profile
        self.journal = journal
        self.in_progress = 0
        self._attempts: Counter[tuple[str, str]] = Counter()

    async def serve(
        self,
        *,
        service: str,
        kind: str,
        task_id: str,
        statuses: dict[Outcome, int],
        latency_seconds: float | None = None,
    ) -> Outcome:
        """Wait, record the outcome under its status, and return it: the caller answers only after that.

        `latency_seconds` is waited in place of the profile's latency.
        """
        self._attempts[service, task_id] += 1
        attempt = self._attempts[service, task_id]
        reaction = self.profile.react(service=service, task_id=task_id, attempt=attempt)
        self.in_progress += 1
        try:
            delay_seconds = reaction.delay_seconds if latency_seconds is None else latency_seconds
            if delay_seconds > 0:
                await asyncio.sleep(delay_seconds)
        finally:
            self.in_progress -= 1
        self.journal.record(kind=kind, task_id=task_id, status=statuses[reaction.outcome])
        return reaction.outcome
