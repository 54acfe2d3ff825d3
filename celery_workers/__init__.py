"""Runtime library for a Celery application: publishing that neither loses tasks nor floods a full broker.

It needs Celery and nothing else, and it works with any app. `celery_workers.outbox` needs the extra `outbox`,
`celery_workers.metrics` the extra `metrics`.
"""

from celery_workers.backoff import Backoff
from celery_workers.calls import TaskCall
from celery_workers.counters import Counters
from celery_workers.errors import PublishError, QueueFull, Unconfirmed, Unreachable, Unroutable, Unsendable
from celery_workers.outcomes import Outcome
from celery_workers.publishing import Publisher
from celery_workers.topology import Topology
from celery_workers.whenfull import FAIL_FAST, Keeper, Wait, WhenFull

__all__ = [
    "FAIL_FAST",
    "Backoff",
    "Counters",
    "Keeper",
    "Outcome",
    "PublishError",
    "Publisher",
    "QueueFull",
    "TaskCall",
    "Topology",
    "Unconfirmed",
    "Unreachable",
    "Unroutable",
    "Unsendable",
    "Wait",
    "WhenFull",
]
