"""The cluster commands' words and exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.cli import cluster
from harness.cluster import addons, programs, setup, way


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> CliRunner:
    """No engine, no build: what the commands say is made from given answers."""
    monkeypatch.setattr(setup, "choose", lambda forced: way.Way("registry", f"forced {forced}", "docker"))
    monkeypatch.setattr(programs, "find_kind", lambda version: Path("kind"))
    monkeypatch.setattr(programs, "find_kubectl", lambda: Path("kubectl"))
    monkeypatch.setattr(addons, "keda_definitions", lambda kubectl: "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("CELERY_WORKERS_CLUSTER", raising=False)
    return CliRunner()


def test_dry_run_prints_the_way_and_the_ordinary_commands(told):
    done = told.invoke(cluster.command, ["up", "--dry-run", "--way", "registry"])
    assert done.exit_code == 0
    assert "the ordinary way, images from a registry: forced registry" in done.output
    create = "kind create cluster --retain --name celery-workers --image docker.io/kindest/node:v1.34"
    assert f"\nKIND_EXPERIMENTAL_PROVIDER=docker {create}" in done.output
    assert "\ndocker build --network host --tag docker.io/library/examx:" in done.output


def test_dry_run_as_one_document(told):
    done = told.invoke(cluster.command, ["up", "--dry-run", "--json"])
    document = json.loads(done.stdout)
    assert document["way"] == "registry"
    assert [command["command"][0] for command in document["ordinary"]][:2] == ["kind", "docker"]


def test_status_of_no_cluster_fails_but_prints_its_document(told, monkeypatch):
    monkeypatch.setattr(setup, "status", lambda name: {"cluster": name, "exists": False})
    done = told.invoke(cluster.command, ["status", "--json", "--name", "other"])
    assert json.loads(done.stdout) == {"cluster": "other", "exists": False}
    assert "no cluster other" in str(done.exception)


def test_up_prints_one_line_a_shell_can_evaluate(told, monkeypatch):
    report = {"steps": {"creating the cluster": 20.0}, "seconds": 21.0, "kubeconfig": "/k"}
    monkeypatch.setattr(setup, "up", lambda plan: report)
    done = told.invoke(cluster.command, ["up", "--workers", "1"])
    assert done.stdout == "export KUBECONFIG=/k\n"
    assert "20.0 s  creating the cluster" in done.stderr


def test_down_says_when_there_was_nothing(told, monkeypatch):
    monkeypatch.setattr(setup, "down", lambda name, images_too: {"removed": []})
    assert "no cluster celery-workers" in told.invoke(cluster.command, ["down"]).output


@pytest.mark.parametrize("name", ["up", "down", "status", "images"])
def test_every_command_has_help_and_json(told, name):
    assert "--json" in told.invoke(cluster.command, [name, "--help"]).output
