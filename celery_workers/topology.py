"""What a publisher must know of the queues and cannot ask the broker: how each refuses.

The limits themselves live in the broker's policies; the chart writes them and `topology.json` from the same values.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from celery_workers.delays import Delays

# Environment variables the chart sets: where its configuration is mounted, and the shared Redis.
DIRECTORY_VARIABLE = "CELERY_WORKERS_CONFIG_DIR"
REDIS_URL_VARIABLE = "CELERY_WORKERS_REDIS_URL"
FILE_NAME = "topology.json"


@dataclass(frozen=True)
class Topology:
    """`stores_refused` names the queues that keep what they refuse in their dead-letter queue, `queues` all of them.

    `refused_to` names the dead-letter queue for those that should and cannot: the publisher puts it there. `class_of`
    is the worker class that consumes a queue. `delays` says where a task waits until it is due.
    """

    stores_refused: frozenset[str] = field(default_factory=frozenset)
    queues: frozenset[str] = field(default_factory=frozenset)
    refused_to: Mapping[str, str] = field(default_factory=dict)
    class_of: Mapping[str, str] = field(default_factory=dict)
    delays: Delays | None = None

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """Read the parsed topology.json. Only classic queues know reject-publish-dlx."""
        queues = document.get("queues", {})
        return cls(
            frozenset(
                name
                for name, queue in queues.items()
                if queue.get("overflow") == "reject-publish-dlx" and queue.get("type", "classic") == "classic"
            ),
            frozenset(queues),
            {name: queue["refused_to"] for name, queue in queues.items() if queue.get("refused_to")},
            {name: queue["class"] for name, queue in queues.items() if queue.get("class")},
            Delays.from_document(document),
        )

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Read the file the chart mounts; without one, assume that no queue stores what it refuses."""
        directory = environment.get(DIRECTORY_VARIABLE)
        path = Path(directory, FILE_NAME) if directory else None
        if path is None or not path.is_file():
            return cls()
        return cls.from_document(json.loads(path.read_text(encoding="utf-8")))
