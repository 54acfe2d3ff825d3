"""Making a kind cluster with everything a run needs, by either way, and taking it away again."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from harness import tools
from harness.chart import values as chart_values
from harness.chart import yaml_strict
from harness.cluster import addons, engine, given, images, kindconfig, ordinary, pipconf, programs, recipes, shell, way
from harness.cluster.engine import Engine
from harness.cluster.kind import Kind
from harness.cluster.kubectl import Kubectl
from harness.cluster.versions import Versions, versions
from harness.cluster.way import Way
from harness.errors import HarnessError
from harness.files import write_atomically

Result = TypeVar("Result")


@dataclass
class Timings:
    """Seconds each step took, in order."""

    seconds: dict[str, float] = field(default_factory=dict)

    def measure(self, step: str, do: Callable[[], Result]) -> Result:
        """Do a step and note how long it took."""
        started = time.monotonic()
        result = do()
        self.seconds[step] = round(time.monotonic() - started, 1)
        return result


@dataclass(frozen=True)
class Plan:
    """What was chosen before anything is made."""

    way: Way
    name: str
    workers: int


def choose(forced: str) -> Way:
    """Return the way for this machine, looking for engine and registry as far as needed. Raises InputError."""
    found: list[Engine] = []

    def find() -> str | None:
        running = engine.running_engine()
        found.extend([running] if running else [])
        return running.program if running else None

    return way.choose(
        forced=forced,
        find_engine=find,
        reaches_registry=lambda _program: engine.reaches(found[0], versions().node_image),
    )


def usual_plan(environment: Mapping[str, str]) -> Plan:
    """Return the plan of whoever only needs a cluster: the environment's name and way, else how one there was made.

    Raises InputError.
    """
    name, forced = kindconfig.cluster_name(environment), way.forced(environment)
    made = _way_of(name) if forced == "auto" else None
    if made is None:
        return Plan(choose(forced), name, kindconfig.WORKERS)
    return Plan(replace(choose(made), reason=f"as cluster {name} was made"), name, kindconfig.WORKERS)


def _way_of(name: str) -> str | None:
    """Return the way by which a cluster that is there was made, None where there is none or nobody noted it."""
    for kind in _clusters(name):
        if kind.exists():
            return str(_report(kind).get("way", "")) or None
    return None


def up(plan: Plan, *, say: shell.Say = shell.say) -> dict[str, Any]:
    """Make the cluster, or use the one that is there if it is the same, and return what was made and how long it took.

    Raises HarnessError; a cluster that could not be completed is left to be looked at, `down` removes it.
    """
    timings = Timings()
    started = time.monotonic()
    say(str(plan.way))
    make = _from_packages if plan.way.kind == "packages" else _with_registry
    kind = make(plan, timings, say)
    report = {
        "way": plan.way.kind,
        "reason": plan.way.reason,
        "cluster": plan.name,
        "kubeconfig": str(kind.kubeconfig),
        "nodes": sorted(kind.nodes()),
        "seconds": round(time.monotonic() - started, 1),
        "steps": timings.seconds,
    }
    write_atomically(kind.home / "report.json", json.dumps(report, indent=2))
    return report


def down(name: str, *, images_too: bool, say: shell.Say = shell.say) -> dict[str, Any]:
    """Delete the cluster and its files; with `images_too` also all images and root file systems of the cache."""
    removed: list[str] = []
    for kind in _clusters(name):
        if kind.exists():
            kind.delete()
            removed.append(f"cluster {name}")
    shutil.rmtree(tools.cache_home() / "cluster" / name, ignore_errors=True)
    if images_too:
        removed += _remove_images()
    for one in removed:
        say(f"removed {one}")
    return {"removed": removed}


def status(name: str) -> dict[str, Any]:
    """Return what is there of a cluster, made by whichever way."""
    for kind in _clusters(name):
        if kind.exists():
            return {**_report(kind), "exists": True, "answers": _answers(kind), "memory_bytes": kind.memory_bytes()}
    return {"cluster": name, "exists": False}


def build_images(*, say: shell.Say = shell.say) -> dict[str, Any]:
    """Build everything a cluster from packages needs, without making one."""
    timings = Timings()
    made = _prepare(timings, say)
    listed = [*made.addons, made.rabbitmq, made.worker, made.load]
    sizes = {archive.name: archive.stat().st_size for archive in listed}
    return {"node": made.node, "archives_bytes": sizes, "steps": timings.seconds}


def application_reference() -> str:
    """Return the name under which the chart, left alone, asks for the reference application's image."""
    image = chart_values.load_values([])["image"]
    chart = yaml_strict.load_file(chart_values.CHART / "Chart.yaml")
    reference = f"{image['repository']}:{image['tag'] or chart['appVersion']}"
    return reference if "/" in reference else f"docker.io/library/{reference}"


def load_reference() -> str:
    """Return the name of the load generator's image, made from the application's."""
    return given.load_of(application_reference())


def kubectl_for(kind: Kind) -> Kubectl:
    """Return kubectl for a kind cluster."""
    return Kubectl(programs.find_kubectl(), kind.kubeconfig)


@dataclass(frozen=True)
class Prepared:
    """What a cluster from packages is made of."""

    engine: Engine
    kind: Path
    node: str
    addons: list[Path]
    rabbitmq: Path
    worker: Path
    load: Path


def _prepare(timings: Timings, say: shell.Say) -> Prepared:
    pinned = versions()
    podman = timings.measure("container engine", lambda: engine.packaged_podman(say=say))
    builder = images.Builder(podman, pinned, say)
    with ThreadPoolExecutor(max_workers=1) as beside, tools.fetching(programs.ALL):
        # They need no program that is built here, and mostly wait for packages.
        applications = beside.submit(_application_images, builder, pinned, timings)
        timings.measure("programs", lambda: [tools.build(tool) for tool in programs.ALL])
        node = timings.measure("node image", lambda: _node_image(builder, pinned))
        on_top = timings.measure("add-on images", lambda: builder.archives(recipes.addons(pinned)))
        rabbitmq, worker, load = applications.result()
    return Prepared(podman, programs.find_kind(pinned.kind), node, on_top, rabbitmq, worker, load)


def _application_images(builder: images.Builder, pinned: Versions, timings: Timings) -> tuple[Path, Path, Path]:
    """Return the archives of RabbitMQ, the reference application and the load generator."""
    return (
        timings.measure("RabbitMQ image", lambda: builder.archive(recipes.rabbitmq(pinned))),
        timings.measure("worker image", lambda: builder.archive(worker_recipe(pinned))),
        timings.measure("load generator image", lambda: builder.archive(load_recipe(pinned))),
    )


def worker_recipe(pinned: Versions) -> recipes.Recipe:
    """Return the reference application's image from packages, under the name the chart asks for."""
    return recipes.worker(application_reference(), debian=pinned.debian["worker"])


def load_recipe(pinned: Versions) -> recipes.Recipe:
    """Return the load generator's image from packages, under the name the Job asks for."""
    return recipes.load(load_reference(), debian=pinned.debian["worker"])


def _node_image(builder: images.Builder, pinned: Versions) -> str:
    everywhere = builder.archives(recipes.every_node(pinned))
    control_plane = builder.archives(recipes.control_plane(pinned))
    return builder.stored(recipes.node(pinned, archives=everywhere, control_plane_archives=control_plane))


def _from_packages(plan: Plan, timings: Timings, say: shell.Say) -> Kind:
    made = _prepare(timings, say)
    kind = Kind(made.kind, made.engine, plan.name)
    _create_unless_same(kind, plan, image=made.node, timings=timings, say=say)
    kubectl = kubectl_for(kind)
    timings.measure("loading add-ons", lambda: kind.load(made.addons))
    addons.install(kubectl, recipes.addon_images(versions()))
    # The add-ons start while the larger images are loaded.
    timings.measure("loading application images", lambda: kind.load([made.rabbitmq, made.worker, made.load]))
    timings.measure("waiting for add-ons", lambda: addons.wait(kubectl))
    return kind


def _create_unless_same(kind: Kind, plan: Plan, *, image: str, timings: Timings, say: shell.Say) -> None:
    if _is_kept(kind, plan, image=image, say=say):
        return
    say(f"creating cluster {plan.name}: one control-plane node, {plan.workers} workers")
    timings.measure(
        "creating the cluster",
        lambda: kind.create(versions(), image=image, packaged=plan.way.kind == "packages", workers=plan.workers),
    )
    _note_made_of(kind, plan, image=image)


def _is_kept(kind: Kind, plan: Plan, *, image: str, say: shell.Say) -> bool:
    """Whether the cluster is there and the same; one of the name that is not is deleted."""
    if not kind.exists():
        return False
    state = _made_of_file(kind)
    if state.exists() and json.loads(state.read_text()) == _made_of(plan, image) and _answers(kind):
        say(f"cluster {plan.name} is there already")
        return True
    say(f"cluster {plan.name} is another one or does not answer; making it anew")
    kind.delete()
    return False


def _note_made_of(kind: Kind, plan: Plan, *, image: str) -> None:
    write_atomically(_made_of_file(kind), json.dumps(_made_of(plan, image)))


def _made_of(plan: Plan, image: str) -> dict[str, Any]:
    return {"image": image, "workers": plan.workers}


def _made_of_file(kind: Kind) -> Path:
    return kind.home / "made-of.json"


def ordinary_steps(plan: Plan) -> list[ordinary.Step]:
    """Return the commands of the way with a registry, and write every file they name, in the cluster's own directory.

    One of them may have the password of a package index in it: `down` removes them, `up` that one at once.
    """
    pinned = versions()
    kind = _ordinary_kind(plan)
    kind.write_files(pinned, packaged=False, workers=plan.workers)
    _write_addons(kind, pinned)
    secrets = pipconf.write(_secrets_directory(kind))
    places = ordinary.Places(
        kind=kind.program,
        kubectl=programs.find_kubectl(),
        engine=kind.engine.program,
        home=kind.home,
        pip_configuration=secrets["pip-conf"],
        certificates=secrets["ca-bundle"],
    )
    contexts = {recipe.reference: recipes.staged(recipe, kind.home / "contexts") for recipe in _project_recipes(pinned)}
    return ordinary.steps(places, pinned, name=plan.name, contexts=contexts)


def _ordinary_kind(plan: Plan) -> Kind:
    program = plan.way.engine or "docker"
    return Kind(programs.find_kind(versions().kind), Engine(program, ordinary.provider(program)), plan.name)


def _secrets_directory(kind: Kind) -> Path:
    return kind.home / "build-secrets"


def _write_addons(kind: Kind, pinned: Versions) -> None:
    (kind.home / "keda-definitions.yaml").write_text(addons.keda_definitions(programs.find_kubectl()))
    for folder in ("metrics-server", "keda"):
        text = yaml_strict.dump_all(addons.manifests(folder, pinned.public_images))
        (kind.home / f"{folder}.yaml").write_text(text)


def _project_recipes(pinned: Versions) -> list[recipes.Recipe]:
    return [worker_recipe(pinned), load_recipe(pinned)]


def _with_registry(plan: Plan, timings: Timings, say: shell.Say) -> Kind:
    kind, image = _ordinary_kind(plan), versions().node_image
    is_kept = _is_kept(kind, plan, image=image, say=say)
    try:
        create, *others = ordinary_steps(plan)
        if not is_kept:
            _run_step(create, timings, say)
            _note_made_of(kind, plan, image=image)
        for step in others:
            _run_step(step, timings, say)
    finally:
        shutil.rmtree(_secrets_directory(kind), ignore_errors=True)
    timings.measure("waiting for add-ons", lambda: addons.wait(kubectl_for(kind)))
    return kind


def _run_step(step: ordinary.Step, timings: Timings, say: shell.Say) -> None:
    say(step.doing)
    timings.measure(
        step.doing,
        lambda: shell.run(
            step.command, doing=step.doing, timeout_seconds=step.timeout_seconds, environment=step.environment
        ),
    )


def _clusters(name: str) -> list[Kind]:
    """Return the cluster of this name on each engine that is there; a program that was never built made none."""
    program = tools.binary_of(programs.KIND)
    on_path = shutil.which("kind")
    found = program if program.exists() else Path(on_path) if on_path else None
    engines = [engine.own_podman(), engine.running_engine()]
    return [Kind(found, one, name) for one in engines if one is not None] if found else []


def _answers(kind: Kind) -> bool:
    try:
        return kubectl_for(kind).run("get", "--raw", "/readyz", doing="asking the API server", seconds=10) == "ok"
    except HarnessError:
        return False


def _report(kind: Kind) -> dict[str, Any]:
    path = kind.home / "report.json"
    return (
        dict(json.loads(path.read_text()))
        if path.exists()
        else {"cluster": kind.name, "kubeconfig": str(kind.kubeconfig)}
    )


def _remove_images() -> list[str]:
    directories = [path for name in ("images", "roots") if (path := tools.cache_home() / name).exists()]
    for directory in directories:
        shutil.rmtree(directory)
    removed = [str(directory) for directory in directories]
    podman = engine.own_podman()
    if podman is not None:
        listed = podman.run("images", "--format", "{{.Repository}}:{{.Tag}}", doing="listing images").split()
        ours = [image for image in listed if image.startswith("localhost/celery-workers/")]
        if ours:
            podman.run("rmi", "--force", *ours, doing="removing images", timeout_seconds=120)
        removed += ours
    return removed
