"""The lines that need more than a render: the application's breakers, runs that were made, the runbook. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from harness.checklist.lines import FAIL, NOT_APPLICABLE, Line, Run, Subject, verdict

# The guide's emergency steps -> what a runbook that has the step names.
STEPS: Mapping[str, re.Pattern[str]] = {
    "check the queues": re.compile(r"inspect active_queues|ops status|list_queues"),
    "scale by hand": re.compile(r"kubectl (?:scale|patch)|ops scale"),
    "limit rates": re.compile(r"ops rate-limit|control rate_limit|@ratelimit"),
    "override a circuit breaker": re.compile(r"ops breaker|failure_threshold"),
}
_COMMAND = re.compile(r"^\s*\$?\s*harness ops ([a-z-]+)", re.MULTILINE)
NAMED_RUNS = 5


def breakers(subject: Subject) -> Line:
    """Whether the application has circuit breakers, and what they share their state through."""
    name, title = "breakers", "Circuit breakers"
    if subject.breaker_files is None:
        reason = f"the application {subject.app!r} is not importable here; run this where it is, or give --path"
        return Line(name, title, NOT_APPLICABLE, (reason,))
    files = ", ".join(subject.breaker_files)
    code = f"made in {files}" if files else f"{subject.app!r} makes no celery_workers.breaker.CircuitBreaker"
    state = (
        f"shared through the Secret {subject.redis_secret}"
        if subject.redis_secret
        else "no Redis, and without it breakers stay closed; set redis.existingSecret"
    )
    return Line(name, title, verdict(bool(files) and subject.redis_secret is not None), (code, state))


def load_test(subject: Subject) -> Line:
    """Whether runs on just these classes and queues have loaded each class, and lost nothing."""
    name, title = "load-test", "Load test"
    runs = [run for run in subject.runs if _same(run, subject)]
    if not runs:
        others = f"; {len(subject.runs)} runs were on others" if subject.runs else ""
        return Line(name, title, FAIL, (f"no run on these classes and queues{others}; `harness spike` makes one",))
    loaded = {
        settings["class"]
        for queue, settings in subject.queues.items()
        if any(run.completed_by_queue.get(queue) for run in runs)
    }
    missing = sorted(set(subject.classes) - loaded)
    losing = [run for run in runs if run.lost]
    evidence = [_sentence(run) for run in runs[:NAMED_RUNS]]
    if len(runs) > NAMED_RUNS:
        evidence.append(f"and {len(runs) - NAMED_RUNS} older runs")
    evidence += [f"no run has loaded class {one}" for one in missing]
    return Line(name, title, verdict(not missing and not losing), tuple(evidence))


def _same(run: Run, subject: Subject) -> bool:
    return dict(run.classes) == dict(subject.classes) and dict(run.queues) == dict(subject.queues)


def _sentence(run: Run) -> str:
    told = "objectives met" if run.passed else f"missed: {', '.join(run.missed) or 'interrupted'}"
    done = sum(run.completed_by_queue.values())
    return f"{run.folder}: {run.scenario} on {run.runtime}, {done:,} done, {run.lost} lost, {told}"


def runbook(subject: Subject) -> Line:
    """Whether the runbook has each of the guide's steps, and names no command that does not exist."""
    name, title = "runbook", "Emergency procedures"
    if subject.runbook is None:
        return Line(name, title, FAIL, (f"{subject.runbook_name}: no such file; name yours with --runbook",))
    text: Any = subject.runbook
    missing = [step for step, pattern in STEPS.items() if not pattern.search(text)]
    named = set(_COMMAND.findall(text))
    wrong = sorted(named - subject.known_commands)
    have = [step for step in STEPS if step not in missing]
    evidence = [f"{subject.runbook_name}: {', '.join(have)}"] if have else []
    evidence += [f"{subject.runbook_name}: nothing says how to {step}" for step in missing]
    evidence += [f"{subject.runbook_name}: `harness ops {command}` does not exist" for command in wrong]
    if named and not wrong:
        evidence.append(f"its {len(named)} commands of `harness ops` exist")
    return Line(name, title, verdict(not missing and not wrong), tuple(evidence))
