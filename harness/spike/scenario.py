"""A scenario: a traffic shape, what its tasks cost, and what is demanded of the run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any

from celery_workers.backoff import Backoff
from harness.chart.yaml_strict import Document, dump_all, load_document
from harness.errors import InputError
from harness.spike.objectives import Objective
from harness.spike.objectives import parse as parse_objectives
from harness.spike.sections import Section, closest

DIRECTORY = Path(__file__).parents[2] / "loadtests" / "scenarios"
ATTEMPTS_PER_SECOND = 900.0
"""10,000 first attempts in 11 s, which leaves half of a two-core machine to the workers."""
ATTEMPT_CPU_SECONDS = 0.0004
"""What one attempt costs publisher and broker, measured on two cores."""
_SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True, kw_only=True)
class TaskMix:
    """One task's part in the traffic and what one run of it takes.

    `share` is relative to the other tasks of its phase (of its class, where a phase states its load by class).
    `service_seconds` is how long it holds a worker's slot, `cpu_seconds` the CPU time it costs this machine in all:
    worker, stand-in services and broker, not the publisher's attempts. Tasks of one `group` are told of together,
    whatever queues and classes they go to.
    """

    task: str
    share: float
    kwargs: Mapping[str, Any]
    service_seconds: float
    cpu_seconds: float
    group: str | None = None


@dataclass(frozen=True, kw_only=True)
class Phase:
    """A stretch of traffic. One of `count` (spread over `seconds`, 0: at once), `rate_per_second` and `load` is set.

    `load` maps worker classes to multiples of their 1x, which `Scenario.normal_slots` or the values state. With
    `groups` only tasks of these are offered.
    """

    name: str
    seconds: float
    count: int | None = None
    rate_per_second: float | None = None
    load: Mapping[str, float] | None = None
    groups: tuple[str, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Publishing:
    """How tasks are offered. All figures are for the whole run, however many Locust workers share it.

    No attempt starts later than `deadline_seconds` after a task's first. `attempts_per_second` keeps the publisher
    from taking the machine, `hold_seconds` keeps retries away from a queue that has just refused one.
    `cpu_seconds` is what one attempt costs publisher and broker.
    """

    deadline_seconds: float
    connections: int
    attempts_per_second: float
    hold_seconds: float
    cpu_seconds: float
    backoff: Backoff


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A scenario file, read and checked. `services` is the stand-ins' profile, the seed included.

    `normal_slots` says how many slots of a class its 1x keeps busy, whatever pods there are; without it 1x is 60 % of
    what the class's minimum replicas hold.
    `source` is the file's path, `label` what messages call it.
    """

    name: str
    title: str
    description: str
    limit_seconds: float
    seed: int
    services: Mapping[str, Any]
    tasks: tuple[TaskMix, ...]
    phases: tuple[Phase, ...]
    publisher: Publishing
    objectives: tuple[Objective, ...]
    normal_slots: Mapping[str, float] | None = None
    source: str = field(compare=False)
    label: str = field(compare=False)

    @property
    def groups(self) -> dict[str, str]:
        """The group of each task that has one."""
        return {task.task: task.group for task in self.tasks if task.group is not None}

    @property
    def phase_starts(self) -> tuple[float, ...]:
        """When each phase begins, in seconds from the start of the load."""
        return tuple(accumulate((phase.seconds for phase in self.phases[:-1]), initial=0.0))


def available() -> list[str]:
    """Return the names of the scenarios that come with the project."""
    return sorted(path.stem for path in DIRECTORY.glob("*.yaml"))


def load_scenario(name_or_path: str | Path) -> Scenario:
    """Read a scenario by its name or its file's path. Raises InputError naming file, line, key and fix."""
    path = _find(name_or_path)
    scenario = parse_scenario(load_document(path), source=path)
    if path.parent == DIRECTORY and scenario.name != path.stem:
        raise InputError(f"{path}: name is {scenario.name!r}, must be that of the file, {path.stem!r}")
    return scenario


def resolved_text(name_or_path: str | Path) -> str:
    """Return a scenario as the text of one file that extends nothing and is read as an equal one. Raises InputError."""
    path = _find(name_or_path)
    load_scenario(path)  # what is wrong is better said of the files as they were written
    document = load_document(path)
    base = _extended(Section(document), path)
    own = {key: value for key, value in document.data.items() if key != "extends"}
    return dump_all([{**(base.data if base else {}), **own}])


def _find(name_or_path: str | Path) -> Path:
    path = Path(name_or_path)
    if path.suffix in _SUFFIXES or len(path.parts) > 1:
        if not path.is_file():
            raise InputError(f"{path}: no such scenario file")
        return path
    name = str(name_or_path)
    known = available()
    if name not in known:
        raise InputError(
            f"unknown scenario {name!r}{closest(name, known)}; there are: {', '.join(known)}, "
            "or give the path of a .yaml file"
        )
    return DIRECTORY / f"{name}.yaml"


def parse_scenario(document: Document, *, source: Path) -> Scenario:
    """Build the scenario a document describes. Raises InputError."""
    root = Section(document)
    extended = _extended(root, source)
    base = Section(extended) if extended else None
    seed = root.whole("seed", least=0)
    scenario = Scenario(
        name=root.text("name"),
        title=root.text("title"),
        description=root.text("description"),
        limit_seconds=root.number("limit_seconds", above=0),
        seed=seed,
        services={"seed": seed, **_services(_holder("services", root, base))},
        tasks=_tasks(_holder("tasks", root, base)),
        phases=_phases(root),
        publisher=_publishing(_holder("publisher", root, base).section("publisher")),
        objectives=parse_objectives(root.list("objectives"), source=document.name),
        normal_slots=_by_class(root, "normal_slots", "slots such as {io: 120}") if root.has("normal_slots") else None,
        source=str(source.absolute()),
        label=document.name,
    )
    for section in (root, base):
        if section is not None:
            section.end()
    _check_phase_names(root, scenario)
    _check_groups(root, scenario)
    _check_normal(root, scenario)
    return scenario


def _extended(root: Section, source: Path) -> Document | None:
    """Read the file a scenario extends: services, tasks and publisher that several scenarios share."""
    if not root.has("extends"):
        return None
    name = root.text("extends")
    directory = source.absolute().parent
    path = (directory / name).resolve()
    if path.suffix not in _SUFFIXES or not path.is_relative_to(directory.resolve()):
        root.fail(f"is {name!r}, expected a .yaml file in or below the scenario's folder", "extends")
    if not path.is_file():
        root.fail(f"{name}: no such file in {directory}", "extends")
    return load_document(path)


def _holder(key: str, root: Section, base: Section | None) -> Section:
    """Return the section that gives a key: the scenario's own stands over its base's."""
    if base is None:
        return root
    base.take(key, None)  # known there, used or not
    return root if root.has(key) or not base.has(key) else base


def _services(root: Section) -> dict[str, Any]:
    services = root.mapping("services", {})
    for name, profile in services.items():
        if not isinstance(profile, Mapping):
            root.fail(f"is {profile!r}, expected a mapping such as {{latency_seconds: 2}}", "services", name)
    return services


def _tasks(root: Section) -> tuple[TaskMix, ...]:
    tasks: list[TaskMix] = []
    for section in root.sections("tasks"):
        task = TaskMix(
            task=section.text("task"),
            share=section.number("share", 1.0, above=0),
            kwargs=section.mapping("kwargs", {}),
            service_seconds=section.number("service_seconds", above=0),
            cpu_seconds=section.number("cpu_seconds", above=0),
            group=section.text("group", None) if section.has("group") else section.take("group", None),
        )
        section.end()
        if any(task.task == other.task for other in tasks):
            section.fail(f"{task.task} is listed twice; add the shares", "task")
        tasks.append(task)
    return tuple(tasks)


def _phases(root: Section) -> tuple[Phase, ...]:
    phases: list[Phase] = []
    for section in root.sections("phases"):
        phase = _phase(section)
        if any(phase.name == other.name for other in phases):
            section.fail(f"a second phase named {phase.name!r}", "name")
        phases.append(phase)
    return tuple(phases)


def _phase(section: Section) -> Phase:
    name = section.text("name")
    kinds = [kind for kind in ("count", "rate_per_second", "load") if section.has(kind)]
    if len(kinds) != 1:
        section.fail(f"phase {name!r} must state exactly one of count, rate_per_second and load")
    at_once = kinds == ["count"]
    phase = Phase(
        name=name,
        seconds=section.number("seconds", 0.0, least=0) if at_once else section.number("seconds", above=0),
        count=section.whole("count", least=1) if section.has("count") else None,
        rate_per_second=section.number("rate_per_second", above=0) if section.has("rate_per_second") else None,
        load=_by_class(section, "load", "factors such as {io: 1}") if section.has("load") else None,
        groups=tuple(map(str, section.list("groups"))) if section.has("groups") else section.take("groups", None),
    )
    section.end()
    return phase


def _by_class(section: Section, key: str, what: str) -> dict[str, float]:
    inner = section.section(key)
    figures = {name: inner.number(name, above=0) for name in section.mapping(key)}
    if not figures:
        section.fail(f"is empty, expected worker classes and {what}", key)
    return figures


def _publishing(section: Section) -> Publishing:
    found = Publishing(
        deadline_seconds=section.number("deadline_seconds", above=0),
        connections=section.whole("connections", 8, least=1),
        attempts_per_second=section.number("attempts_per_second", ATTEMPTS_PER_SECOND, above=0),
        hold_seconds=section.number("hold_seconds", 0.5, above=0),
        cpu_seconds=section.number("cpu_seconds", ATTEMPT_CPU_SECONDS, above=0),
        backoff=_backoff(section.section("backoff")),
    )
    section.end()
    return found


def _backoff(section: Section) -> Backoff:
    default = Backoff()
    figures = {name: section.number(name, getattr(default, name)) for name in default.__dataclass_fields__}
    section.end()
    try:
        return Backoff(**figures)
    except ValueError as error:
        section.fail(str(error))


def _check_phase_names(root: Section, scenario: Scenario) -> None:
    names = {phase.name for phase in scenario.phases}
    for index, objective in enumerate(scenario.objectives):
        for key in ("phase", "baseline"):
            phase = objective.parameters.get(key)
            if phase is not None and phase not in names:
                root.fail(
                    f"there is no phase {phase!r}{closest(phase, names)}; phases: {', '.join(sorted(names))}",
                    "objectives",
                    index,
                    key,
                )


def _check_groups(root: Section, scenario: Scenario) -> None:
    known = set(scenario.groups.values())
    for index, phase in enumerate(scenario.phases):
        for group in phase.groups or ():
            if group not in known:
                there = ", ".join(sorted(known)) or "none; name a task's with group:"
                root.fail(f"no task is of group {group!r}{closest(group, known)}; there are: {there}",
                          "phases", index, "groups")  # fmt: skip


def _check_normal(root: Section, scenario: Scenario) -> None:
    if scenario.normal_slots is None:
        return
    loaded = [name for phase in scenario.phases for name in phase.load or ()]
    for name in loaded:
        if name not in scenario.normal_slots:
            root.fail(
                f"states no slots for {name}, which has a load; add it, or leave normal_slots out", "normal_slots"
            )
    for name in scenario.normal_slots:
        if name not in loaded:
            root.fail(f"{name} has no load in any phase; take it out", "normal_slots", name)
