"""Cost: what the requested pods cost, by class, by task and by month against the volume. Pure.

The recorded series says what the pods of a class cost an hour, by the prices in the values; all else follows from it.
"""

from __future__ import annotations

from harness.monitoring.boards.board import (
    HALF,
    MONEY,
    MONEY_PER_HOUR,
    MONEY_PER_MONTH,
    MONEY_PER_THOUSAND,
    QUARTER,
    SHARE,
    TASKS,
    TASKS_PER_HOUR,
    THIRD,
    Board,
    Panel,
    Query,
    Row,
)
from harness.monitoring.boards.performance import DONE, RUN
from harness.monitoring.boards.series import RANGE, own

HOURLY = own("celery_workers:requested_cost:per_hour")
HOURS_A_MONTH = 730  # 365 * 24 / 12
BY_CLASS = f"sum by (class) ({HOURLY})"


def spent(window: str, labels: str = "") -> str:
    """Return what was spent in a window, whole hours or not: the rate of each minute, added up."""
    by = f" by ({labels})" if labels else ""
    return f"sum_over_time((sum{by} ({HOURLY}))[{window}:1m]) / 60"


def done(window: str, labels: str = "") -> str:
    """Return how many tasks succeeded in a window."""
    by = f" by ({labels})" if labels else ""
    return f"sum{by} (increase({DONE}[{window}]))"


# A task's part of what its class cost is its part of the time that the class's workers ran tasks.
TIME_BY_TASK = f"sum by (class, task) (increase({own(RUN + '_sum')}[{RANGE}]))"
TIME_BY_CLASS = f"sum by (class) (increase({own(RUN + '_sum')}[{RANGE}]))"
SHARE_OF_CLASS = f"{TIME_BY_TASK} / on (class) group_left () ({TIME_BY_CLASS} > 0)"
SPENT_BY_TASK = f"({SHARE_OF_CLASS}) * on (class) group_left () ({spent(RANGE, 'class')})"

CLASSES = Row(
    "By class",
    [
        Panel(
            title="Cost an hour, by class",
            unit=MONEY_PER_HOUR,
            stacked=True,
            help="What the pods of a class request, by the prices in the values and in their currency.",
            queries=[Query(BY_CLASS, "{{class}}")],
        ),
        Panel(
            title="Spent in the shown time, by class",
            unit=MONEY,
            kind="bars",
            width=QUARTER,
            help="The cost an hour, added up.",
            queries=[Query(spent(RANGE, "class"), "{{class}}", at_once=True)],
        ),
        Panel(
            title="A thousand tasks, by class",
            unit=MONEY_PER_THOUSAND,
            kind="bars",
            width=QUARTER,
            help="Spent in the shown time over the tasks that succeeded in it. Pods that idle are paid for too.",
            queries=[
                Query(
                    f"1000 * ({spent(RANGE, 'class')}) / ({done(RANGE, 'class')} > 0)",
                    "{{class}}",
                    at_once=True,
                )
            ],
        ),
    ],
)

TASK_TYPES = Row(
    "By task",
    [
        Panel(
            title="A thousand tasks, by task",
            unit=MONEY_PER_THOUSAND,
            kind="bars",
            width=THIRD,
            help="A task's part of what its class cost is its part of the time in which the class's workers ran tasks.",
            queries=[
                Query(
                    f"1000 * {SPENT_BY_TASK} / ({done(RANGE, 'class, task')} > 0)",
                    "{{task}}",
                    at_once=True,
                )
            ],
        ),
        Panel(
            title="A thousand tasks in an hour, by task",
            unit=MONEY_PER_THOUSAND,
            width=THIRD,
            help="The same of the hour before each moment: what rises costs more than it did.",
            queries=[Query(f"1000 * {own('celery_workers:task_cost:per_task1h')}", "{{task}}")],
        ),
        Panel(
            title="Part of its class's cost, by task",
            unit=SHARE,
            kind="bars",
            width=THIRD,
            most=1,
            help="The part of the time in which the class's workers ran tasks.",
            queries=[Query(SHARE_OF_CLASS, "{{class}}: {{task}}", at_once=True)],
        ),
    ],
)

MONTH = Row(
    "Month against volume",
    [
        Panel(
            title="Spent in 30 days",
            unit=MONEY,
            kind="stat",
            width=QUARTER,
            help="Only what was recorded: less than a month of history is less than a month's cost.",
            queries=[Query(spent("30d"), "spent", at_once=True)],
        ),
        Panel(
            title="Tasks in 30 days",
            unit=TASKS,
            kind="stat",
            width=QUARTER,
            help="Tasks that succeeded.",
            queries=[Query(done("30d"), "tasks", at_once=True)],
        ),
        Panel(
            title="A thousand tasks, in 30 days",
            unit=MONEY_PER_THOUSAND,
            kind="stat",
            width=QUARTER,
            help="The one over the other.",
            queries=[Query(f"1000 * ({spent('30d')}) / ({done('30d')} > 0)", "a thousand tasks", at_once=True)],
        ),
        Panel(
            title="A month at this rate",
            unit=MONEY_PER_MONTH,
            kind="stat",
            width=QUARTER,
            help="The mean cost an hour of the shown time, for the 730 hours of a month.",
            queries=[Query(f"sum(avg_over_time({HOURLY}[{RANGE}])) * {HOURS_A_MONTH}", "a month", at_once=True)],
        ),
        Panel(
            title="Spend against volume",
            unit=MONEY_PER_MONTH,
            width=HALF,
            help="The cost of a month at the rate of each moment, and the tasks an hour (right). Cost that stays while "
            "the tasks fall is paid for idling.",
            queries=[
                Query(f"sum({HOURLY}) * {HOURS_A_MONTH}", "spend"),
                Query(f"sum(rate({DONE}[1h])) * 3600", "tasks", unit=TASKS_PER_HOUR),
            ],
        ),
        Panel(
            title="A thousand tasks, over time",
            unit=MONEY_PER_THOUSAND,
            width=HALF,
            help="The cost of an hour over the tasks of the hour before.",
            queries=[Query(f"1000 * sum({HOURLY}) / (sum(rate({DONE}[1h])) * 3600 > 0)", "a thousand tasks")],
        ),
    ],
)

COST = Board(
    name="cost",
    title="Celery workers: cost",
    help="What the workers cost, by class, by task and by month against the volume.",
    rows=[CLASSES, TASK_TYPES, MONTH],
    since="now-24h",
    refresh="5m",
)
