"""Reading what a calibration run left behind."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, tzinfo
from itertools import chain
from pathlib import Path
from statistics import median
from typing import Any

from harness.chart import manifests as look
from harness.chart.values import classes
from harness.errors import InputError
from harness.planning.calibration import derive
from harness.planning.figures import Figures
from harness.planning.turns import turns
from harness.planning.turns import typical as typical_turn
from harness.spike import journals, result
from harness.spike.ledger import OfferEvent
from harness.spike.load import JOURNALS
from harness.spike.scenario import load_scenario

SCENARIO = "calibration"
STAY_SECONDS = 3600
POD_LOGS = "runtime/pods/*/log"
_RUN = re.compile(r"^\[[^\]]*\] Task (\S+)\[[^\]]*\] succeeded in ([\d.]+)s", re.MULTILINE)
_SLOT = re.compile(
    r"^\[(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d),(\d{3}): [^\]]*\] Task \S+\[[^\]]*\] (received|succeeded in)", re.MULTILINE
)
_READY = re.compile(r"^\[(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d),(\d{3}): .*\] \S+@\S+ ready\.$", re.MULTILINE)


def undisturbed(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the overlay that lets no CPU target add a pod to a class which its queue's depth scales, and no pod go.

    Whether tasks lie in one metrics window or in two depends on the place and on chance. The log of a pod that goes
    goes with it.
    """
    staying = {"behavior": {"scaleDown": {"stabilizationWindowSeconds": STAY_SECONDS}}}
    return {
        "workers": {
            name: {"targets": {"cpuUtilization": None}, **staying}
            for name, worker in classes(values).items()
            if worker["scaler"] == "keda" and look.get(worker, "targets", "queueDepth")
        }
    }


def measure(directory: Path) -> Figures:
    """Return the figures of a calibration run by its folder. Raises InputError for one that is none."""
    found = result.read(directory)
    path = directory / f"{found.scenario}.yaml"
    scenario = load_scenario(path if path.is_file() else found.scenario)
    try:
        topology = json.loads((directory / "topology.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{directory}/topology.json: cannot be read as JSON: {error}") from error
    # Processes log in this machine's time, containers in UTC.
    zone = None if found.runtime == "local" else UTC
    began = {pod: at - found.started_at for pod, at in working_at(directory, zone).items()}
    return derive(
        found,
        scenario,
        topology,
        working_at=began,
        confirm_seconds=confirm_seconds(directory),
        run_seconds=run_seconds(directory),
        turn_seconds=turn_seconds(directory, found.setup["classes"], zone),
    )


def working_at(directory: Path, zone: tzinfo | None) -> dict[str, float]:
    """Return when each pod's worker said it takes tasks, by its log, in seconds since the epoch."""
    found = {}
    for log in sorted(directory.glob(POD_LOGS)):
        said = _READY.search(log.read_text(encoding="utf-8", errors="replace"))
        if said:
            found[log.parent.name] = _at(said, zone)
    return found


def turn_seconds(directory: Path, classes: Mapping[str, Any], zone: tzinfo | None) -> dict[str, float]:
    """Return how long a slot of each prefork class is empty between two tasks, by the logs, where they tell enough.

    There a parent hands tasks to processes. In other pools that is part of what a task computes in its worker.
    `classes` are a run's own: each has its pool, its Deployment and how many slots a worker has.
    """
    found = {}
    for name, settings in classes.items():
        if settings["pool"] != "prefork":
            continue
        logs = sorted(directory.glob(POD_LOGS.replace("*", f"{settings['deployment']}-*")))
        each = (turns(_slot_events(log, zone), int(settings["concurrency"])) for log in logs)
        typical = typical_turn(chain.from_iterable(each))
        if typical is not None:
            found[name] = typical
    return found


def _slot_events(log: Path, zone: tzinfo | None) -> Iterator[tuple[float, bool]]:
    """Yield when a worker received a task or had done one, and whether it is the first of these."""
    for told in _SLOT.finditer(log.read_text(encoding="utf-8", errors="replace")):
        yield _at(told, zone), told[3] == "received"


def _at(told: re.Match[str], zone: tzinfo | None) -> float:
    """Return the time at which a line of a log was written, in seconds since the epoch."""
    return datetime.strptime(told[1], "%Y-%m-%d %H:%M:%S").replace(tzinfo=zone).timestamp() + int(told[2]) / 1000


def run_seconds(directory: Path) -> dict[str, float]:
    """Return how long a run of each task took in its worker where it met no crowd: the lower quartile, by the logs."""
    found: dict[str, list[float]] = {}
    for log in sorted(directory.glob(POD_LOGS)):
        for task, seconds in _RUN.findall(log.read_text(encoding="utf-8", errors="replace")):
            found.setdefault(task, []).append(float(seconds))
    return {task: sorted(seconds)[len(seconds) // 4] for task, seconds in found.items()}


def confirm_seconds(directory: Path) -> float | None:
    """Return the median round trip of a task's first attempt that was accepted, None where there was none."""
    offered: dict[str, float] = {}
    trips = []
    for offer in journals.read_offers(directory / JOURNALS).entries:
        if offer.event is OfferEvent.OFFERED:
            offered[offer.id] = offer.at
        elif offer.event is OfferEvent.ACCEPTED and offer.attempt == 1 and offer.id in offered:
            trips.append(offer.at - offered[offer.id])
    return median(trips) if trips else None
