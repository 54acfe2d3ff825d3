"""The way with a registry, run on programs that only note what they are told: a cluster that is the same is kept."""

from __future__ import annotations

import os
import shlex
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness import tools
from harness.cli import cluster
from harness.cluster import addons, programs, setup, way
from harness.cluster.engine import Engine
from harness.cluster.kind import Kind
from harness.cluster.setup import Plan
from harness.cluster.versions import versions

KIND = """#!/bin/sh
echo "$KIND_EXPERIMENTAL_PROVIDER kind $@" >> {log}
case "$1 $2" in
"get clusters") cat {clusters} 2>/dev/null || true ;;
"get nodes") echo c-control-plane c-worker ;;
"create cluster") echo c > {clusters} ;;
"delete cluster") rm -f {clusters} ;;
esac
"""
KUBECTL = """#!/bin/sh
echo "kubectl $@" >> {log}
case "$*" in
*readyz*) printf ok ;;
*apiservice*) echo '{{"status": {{"conditions": [{{"type": "Available", "status": "True"}}]}}}}' ;;
esac
"""
ENGINE = """#!/bin/sh
echo "docker $@" >> {log}
"""
PLAN = Plan(way.Way("registry", "forced", "docker"), "c", workers=1)


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the programs note what they are told."""
    directory, found = tmp_path / "bin", tmp_path / "log"
    directory.mkdir()
    for name, text in {"kind": KIND, "kubectl": KUBECTL, "docker": ENGINE}.items():
        (directory / name).write_text(text.format(log=found, clusters=tmp_path / "clusters"))
        (directory / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(programs, "find_kind", lambda version: directory / "kind")
    monkeypatch.setattr(programs, "find_kubectl", lambda: directory / "kubectl")
    monkeypatch.setattr(addons, "keda_definitions", lambda kubectl: "definitions: {}\n")
    return found


def _told(log: Path, what: str) -> int:
    return sum(what in line for line in log.read_text().splitlines())


def test_a_cluster_that_is_the_same_is_kept_and_filled_again(log: Path):
    setup.up(PLAN)
    report = setup.up(PLAN)
    assert _told(log, "docker kind create cluster") == 1
    assert _told(log, "docker kind delete cluster") == 0
    assert _told(log, "docker kind load image-archive") == 4
    assert "creating the cluster" not in report["steps"]
    assert not (Path(report["kubeconfig"]).parent / "build-secrets").exists()


def test_another_cluster_of_the_name_is_made_anew(log: Path):
    setup.up(PLAN)
    setup.up(replace(PLAN, workers=2))
    assert _told(log, "docker kind create cluster") == 2
    assert _told(log, "docker kind delete cluster") == 1


def test_one_that_has_ended_without_us_leaves_no_image_to_the_next(log: Path, tmp_path: Path):
    kind, archive = Kind(tmp_path / "bin" / "kind", Engine("docker"), "c"), tmp_path / "worker-1.tar"
    for _ in range(2):
        kind.create(versions(), image="node", packaged=False, workers=1)
        assert [kind.load([archive]) for _ in range(2)] == [[archive], []]
        (tmp_path / "clusters").unlink()


def test_a_cluster_that_is_there_says_the_way(log: Path, monkeypatch: pytest.MonkeyPatch):
    asked: list[str] = []

    def choose(forced: str) -> way.Way:
        asked.append(forced)
        return PLAN.way

    monkeypatch.setattr(setup, "choose", choose)
    kind = tools.binary_of(programs.KIND)
    kind.parent.mkdir(parents=True)
    kind.symlink_to(log.parent / "bin" / "kind")
    environment = {"CELERY_WORKERS_CLUSTER": "c"}
    setup.usual_plan(environment)
    setup.up(PLAN)
    kept = setup.usual_plan(environment)
    setup.usual_plan({**environment, way.VARIABLE: "packages"})
    assert asked == ["auto", "registry", "packages"]
    assert kept.way.reason == "as cluster c was made"


def test_every_file_a_printed_command_names_is_there(log: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(setup, "choose", lambda forced: PLAN.way)
    done = CliRunner().invoke(cluster.command, ["up", "--dry-run", "--name", "c"])
    assert done.exit_code == 0, done.output
    made = {"kubeconfig"}  # by the commands themselves, as the archives are
    words = [
        word.rpartition("src=")[2] for line in done.stdout.splitlines() for word in shlex.split(line, comments=True)
    ]
    named = {Path(word) for word in words if word.startswith("/")}
    missing = {path.name for path in named if not path.exists() and path.suffix != ".tar"} - made
    assert len(named) > 10
    assert missing == set()
    (secrets,) = {path.parent for path in named if path.name == "pip.conf"}
    assert secrets.stat().st_mode & 0o777 == 0o700
