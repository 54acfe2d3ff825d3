"""Results of simulated runs, as `result.build` makes them of real ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

from harness.spike import result
from harness.spike.ledger import account
from harness.spike.objectives import Objective
from harness.spike.result import Result, RunFacts
from tests.unit.spike_report.synthetic import EPOCH, Class, Faults, Run, burst, simulate, steady

LOST = Objective("lost", {"max": 0})
REFUSED = Objective("refused_finally", {"max": 0})
DRAINED = Objective("drain_seconds", {"max": 180})

IO = Class()
CPU = Class(
    name="cpu", queue="cpu", task="generate_question_paper_pdfs", kind="file", concurrency=4, limit_messages=1000,
    service_seconds=0.5, maximum=3, add_pods=2, add_every_seconds=120, cores_per_slot=0.2, request_cores=1.0,
)  # fmt: skip
MIXED = Class(
    name="mixed", queue="mixed", task="check_db_connections", kind="row", concurrency=16, limit_messages=2000,
    service_seconds=1.0, maximum=2, add_pods=2, add_every_seconds=90, cores_per_slot=0.01, request_cores=0.5,
)  # fmt: skip
POOLS = {"io": "gevent", "cpu": "prefork", "mixed": "threads"}
MEMORY_REQUESTS = {"io": 2 * 1024**3, "cpu": 2 * 1024**3, "mixed": 1024**3}


def setup_of(classes: list[Class]) -> dict[str, Any]:
    return {
        "values_files": ["values/prod.yaml", "values/keda.yaml"],
        "chart_version": "0.1.0",
        "commit": "7abdb1994c2e",
        "machine": {"cores": 2, "memory_bytes": 8 * 1024**3, "system": "Linux 6.1.0 x86_64"},
        "versions": {"python": "3.11.7", "celery": "5.7.0", "gevent": "26.9.0", "rabbitmq": "3.10.8"},
        "classes": {
            one.name: {
                "deployment": one.deployment,
                "pool": POOLS.get(one.name, "gevent"),
                "concurrency": one.concurrency,
                "queues": [one.queue],
                "scaler": "keda",
                "minimum": one.minimum,
                "maximum": one.maximum,
                "cpu_request_cores": one.request_cores,
                "memory_request_bytes": MEMORY_REQUESTS.get(one.name),
            }
            for one in classes
        },
        "queues": {
            one.queue: {
                "class": one.name,
                "type": "classic",
                "max_length_messages": one.limit_messages,
                "overflow": "reject-publish",
                "message_ttl_seconds": 1800,
                "dead_letter_queue": f"{one.queue}.dead",
            }
            for one in classes
        },
    }


def facts(scenario: str, classes: list[Class], run: Run, **changes: Any) -> RunFacts:
    known = RunFacts(
        run_id=f"20260921-120000-{scenario}",
        scenario=scenario,
        runtime="local",
        started_at=EPOCH,
        duration_seconds=run.samples[-1]["t"],
        command=f"make spike SCENARIO={scenario} ENV=prod,keda RUNTIME=local",
        title="10,000 e-mails at once",
        description="A campaign puts all its mails into the queue in one burst; the provider answers in 2 s.",
        ideal_drain_seconds=20.0,
        setup=setup_of(classes),
        files={"Publisher journal": "publisher-0.jsonl", "Deliveries of the stand-ins": "services/deliveries.jsonl"},
    )
    return replace(known, **changes)


def build(facts: RunFacts, run: Run, objectives: list[Objective], *, groups: Mapping[str, str] | None = None) -> Result:
    ledger = account(
        offers=run.offers,
        effects=run.effects,
        dead_letters=run.dead_letters,
        in_queue=run.in_queue,
        expected_kinds=run.kinds,
    )
    return result.build(
        facts=facts,
        ledger=ledger,
        objectives=objectives,
        due_at=run.due,
        samples=run.samples,
        scale_events=run.scale_events,
        events=run.events,
        groups=groups,
    )


@cache
def campaign(tasks: int = 10_000) -> Result:
    """The guide's burst of e-mails, which passes."""
    classes = [replace(IO, arrivals=burst(tasks))]
    run = simulate(classes)
    return build(facts("email-campaign", classes, run), run, [LOST, REFUSED, DRAINED])


@cache
def slow(tasks: int = 10_000) -> Result:
    """The same burst where the provider takes 8 s: a fifth pod comes."""
    classes = [replace(IO, arrivals=burst(tasks), service_seconds=8.0)]
    run = simulate(classes)
    return build(facts("email-slow", classes, run, ideal_drain_seconds=80.0), run, [LOST, REFUSED, DRAINED])


@cache
def idle_classes(tasks: int = 10_000) -> Result:
    """The burst with the other classes rendered beside it, as on prod."""
    classes = [replace(IO, arrivals=burst(tasks)), CPU, MIXED]
    run = simulate(classes)
    return build(facts("email-campaign", classes, run), run, [LOST, REFUSED, DRAINED])


@cache
def surge() -> Result:
    """Five times the normal load on all three classes."""

    def phases(rate: float) -> tuple[tuple[float, str], ...]:
        return steady(rate, start=0, seconds=40, phase="normal") + steady(5 * rate, start=40, seconds=60, phase="surge")

    classes = [
        replace(IO, arrivals=phases(60)),
        replace(CPU, arrivals=phases(4.8)),
        replace(MIXED, arrivals=phases(9.6)),
    ]
    run = simulate(classes)
    ratio = Objective("p95_latency_ratio", {"phase": "surge", "baseline": "normal", "max": 2})
    text = {
        "title": "Five times the normal load",
        "description": "All classes at 60 % of one pod, then five times that.",
    }
    return build(facts("mixed-surge", classes, run, ideal_drain_seconds=2.0, **text), run, [LOST, REFUSED, ratio])


@cache
def broken(tasks: int = 4_000) -> Result:
    """Everything that can go wrong, in one run."""
    classes = [replace(IO, arrivals=burst(tasks), limit_messages=1500, maximum=2)]
    faults = Faults(lose=3, expire=2, give_up_seconds=14, kill_pod_at=9.0, unknown_effects=1, unconfirmed=4)
    run = simulate(classes, faults=faults)
    share = Objective("completed_within", {"seconds": 60, "min_share": 0.999})
    return build(facts("chaos-burst", classes, run, torn_lines=1), run, [LOST, REFUSED, share, DRAINED])


@cache
def chaos_result(fault: str) -> Result:
    """A steady load with a phase named for a fault, in which nothing goes wrong."""
    arrivals = steady(5, start=0, seconds=10, phase="calm") + steady(5, start=10, seconds=30, phase=fault)
    classes = [replace(IO, arrivals=arrivals)]
    run = simulate(classes)
    return build(facts("chaos", classes, run), run, [LOST, REFUSED])


@cache
def interrupted() -> Result:
    """Stopped by Ctrl-C in the middle."""
    classes = [replace(IO, arrivals=burst(2000))]
    run = simulate(classes)
    run.effects = [effect for effect in run.effects if effect.at < EPOCH + 8]
    done = {effect.id for effect in run.effects}
    run.in_queue = {offer.id for offer in run.offers} - done
    run.samples = [sample for sample in run.samples if sample["t"] < 8]
    return build(facts("email-campaign", classes, run, interrupted=True), run, [LOST, REFUSED, DRAINED])


HOSTILE = "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">&amp;'"


@cache
def hostile(text: str = HOSTILE) -> Result:
    """Every text a run carries is an attempt to become markup."""
    one = Class(name=text, queue=text, task=text, kind=text, arrivals=burst(600, phase=text), limit_messages=300)
    run = simulate([one])
    known = facts(
        text, [one], run, run_id=text, runtime=text, command=text, title=text, description=text,
        files={text: "javascript:alert(1)", "b": f"{text}.jsonl"},
        calls={text: {"answered": 1, "refused": 1, "repeated": 1}},
    )  # fmt: skip
    extra = {
        "values_files": [text],
        "chart_version": text,
        "commit": text,
        "versions": {text: text},
        "machine": {"system": text},
    }
    known = replace(known, setup={**known.setup, **extra})
    objectives = [LOST, Objective("p95_latency_ratio", {"phase": text, "baseline": text + "?", "max": 2})]
    return build(known, run, objectives)
