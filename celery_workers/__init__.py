"""Runtime library for a Celery application: publishing that neither loses tasks nor floods a full broker.

It needs Celery and nothing else, and it works with any app.
"""

from celery_workers.backoff import Backoff
from celery_workers.counters import Counters
from celery_workers.errors import PublishError, QueueFull, Unconfirmed, Unreachable, Unroutable
from celery_workers.publishing import Publisher
from celery_workers.topology import Topology

__all__ = [
    "Backoff",
    "Counters",
    "PublishError",
    "Publisher",
    "QueueFull",
    "Topology",
    "Unconfirmed",
    "Unreachable",
    "Unroutable",
]
