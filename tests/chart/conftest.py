"""Helm binaries, an own cache, and a chart that only shows the values it was given."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import tools
from harness.chart import render

MAJORS = (3, 4)


@pytest.fixture(params=MAJORS, ids=lambda major: f"helm{major}")
def helm(request: pytest.FixtureRequest) -> Path:
    """Each helm the chart supports."""
    return tools.find_helm(request.param)


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty cache on disk and in process, so that a test sees helm run; the tools stay where they are."""
    helm_four = tools.find_helm(4)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HELM", str(helm_four))
    render._remembered.clear()
    yield tmp_path / "cache"
    render._remembered.clear()


@pytest.fixture
def echo_chart(tmp_path: Path) -> Path:
    """A chart whose one object carries the values as JSON."""
    chart = tmp_path / "echo"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: echo\nversion: 0.1.0\n")
    (chart / "values.yaml").write_text("a: 1\nb: {c: 2, e: {f: 1}}\nl: [1, 2]\n")
    (chart / "templates" / "echo.yaml").write_text(
        "apiVersion: v1\nkind: ConfigMap\n"
        'metadata: {name: "{{ .Release.Name }}", namespace: "{{ .Release.Namespace }}"}\n'
        "data:\n  values: {{ .Values | toJson | quote }}\n"
    )
    return chart
