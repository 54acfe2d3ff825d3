"""Rendering with real helm: values mean what helm takes them for, results are remembered, refusals are readable."""

from __future__ import annotations

import json
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.chart import render, values, yaml_strict
from harness.errors import HarnessError, InputError
from tests.golden import refresh

SCALARS = """
oct: 0644
oct2: 0o644
hex: 0x1F
bin: 0b11
under: 1_000
clock: 1:30
date: 2024-01-02
time: 2024-01-02T03:04:05Z
exp: 1e3
dot: .5
plus: +5
neg: -0x10
yes: yes_is_a_key
word: "yes"
flags: [y, Y, n, NO, on, Off, TRUE, False, ~, Null, "", "null"]
text: !!str 5
int: !!int "5"
lead: 089
eq: =
base: &b {p: 1, q: 2}
merged: {<<: *b, q: 3}
lines: |
  a
   b
folded: >-
  a
  b
uni: "\\u00e9\\U0001F600 \\x7f \\u2028"
""".replace("yes: yes_is_a_key\n", "")


def without_nulls(value: Any) -> Any:
    """Helm 3 keeps a chart's null defaults and helm 4 drops them: that difference means nothing."""
    if isinstance(value, dict):
        return {key: without_nulls(inner) for key, inner in value.items() if inner is not None}
    return [without_nulls(inner) for inner in value] if isinstance(value, list) else value


def seen_by_helm(helm: Path, chart: Path, files: list[Path]) -> Any:
    """What the templates get when the user hands the same files to helm directly."""
    command = [str(helm), "template", "x", str(chart), *(f"--values={path}" for path in files)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    (manifest,) = yaml_strict.load_all_text(done.stdout, "helm")
    return json.loads(manifest["data"]["values"])


def seen_by_us(helm: Path, chart: Path, files: list[Path], **options: Any) -> Any:
    (manifest,) = render.render(files, helm=helm, chart=chart, **options)
    return json.loads(manifest["data"]["values"])


def test_scalars_reach_the_templates_as_with_helm_alone(helm: Path, echo_chart: Path, tmp_path: Path) -> None:
    path = tmp_path / "scalars.yaml"
    path.write_text(SCALARS)
    direct = seen_by_helm(helm, echo_chart, [path])
    assert seen_by_us(helm, echo_chart, [path]) == direct
    assert without_nulls(values.load_values([path], chart=echo_chart)) == without_nulls(direct)


names = st.sampled_from(["a", "b", "c", "l"])
trees: Any = st.recursive(
    st.none() | st.integers(0, 2) | st.sampled_from(["x", "yes", "1e3"]) | st.lists(st.integers(0, 2), max_size=2),
    lambda inner: st.dictionaries(names, inner, max_size=3),
    max_leaves=6,
)
maps = st.dictionaries(names, trees, max_size=4)


@pytest.mark.timeout(120)
@settings(max_examples=settings.default.max_examples // 4, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(defaults=maps, first=maps, second=maps)
def test_files_merge_as_helm_merges_them(
    helm: Path, echo_chart: Path, defaults: dict[str, Any], first: dict[str, Any], second: dict[str, Any]
) -> None:
    """The model of helm's merging against helm itself, with random defaults and two random files."""
    (echo_chart / "values.yaml").write_text(json.dumps(defaults))
    files = [echo_chart / "first.json", echo_chart / "second.json"]
    for path, data in zip(files, (first, second), strict=True):
        path.write_text(json.dumps(data))
    direct = without_nulls(seen_by_helm(helm, echo_chart, files))
    assert without_nulls(values.load_values(files, chart=echo_chart)) == direct
    assert without_nulls(seen_by_us(helm, echo_chart, files)) == direct


def test_release_namespace_and_settings_reach_the_templates(helm: Path, echo_chart: Path) -> None:
    options: Any = {"release": "my-app", "namespace": "exam", "set_values": {"b.c": 9, "new": "é😀"}}
    (manifest,) = render.render([], helm=helm, chart=echo_chart, **options)
    assert manifest["metadata"] == {"name": "my-app", "namespace": "exam"}
    assert json.loads(manifest["data"]["values"]) == {"a": 1, "b": {"c": 9, "e": {"f": 1}}, "l": [1, 2], "new": "é😀"}


@pytest.mark.parametrize("environments", refresh.cases().values())
def test_every_values_file_renders_without_a_warning(helm: Path, environments: str) -> None:
    rendered = render.render_with_warnings(render.environment_files(environments), helm=helm)
    assert rendered.warnings == []
    assert render.topology(rendered.manifests)["release"] == "celery"


def test_warnings_of_helm_are_kept_without_its_log_format(helm: Path, echo_chart: Path) -> None:
    rendered = render.render_with_warnings([], set_values={"a": {"x": 1}}, helm=helm, chart=echo_chart)
    assert rendered.warnings
    assert all("level=" not in text and ".go:" not in text for text in rendered.warnings)
    assert any("echo.a" in text for text in rendered.warnings)


def count_runs(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    runs: list[Any] = []
    real = render._run_helm

    def counted(arguments: Any, stdin: str) -> Any:
        runs.append(arguments)
        return real(arguments, stdin)

    monkeypatch.setattr(render, "_run_helm", counted)
    return runs


def test_renders_are_remembered_by_content(own_cache: Path, echo_chart: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = count_runs(monkeypatch)
    first = render.render([], chart=echo_chart)
    first[0]["data"]["values"] = "changed by the caller"
    assert json.loads(render.render([], chart=echo_chart)[0]["data"]["values"])["a"] == 1
    assert len(runs) == 1
    render._remembered.clear()  # another process starts with the disk alone
    render.render([], chart=echo_chart)
    assert len(runs) == 1
    render.render([], chart=echo_chart, set_values={"a": 2})
    render.render([], chart=echo_chart, namespace="other")
    assert len(runs) == 3
    (echo_chart / "values.yaml").write_text("a: 7\n")
    assert json.loads(render.render([], chart=echo_chart)[0]["data"]["values"])["a"] == 7
    (echo_chart / "tests").mkdir()
    (echo_chart / "tests" / "x_test.yaml").write_text("suite: no part of a render\n")
    render.render([], chart=echo_chart)
    assert len(runs) == 4


def test_a_damaged_or_unwritable_cache_only_costs_time(
    own_cache: Path, echo_chart: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = count_runs(monkeypatch)
    render.render([], chart=echo_chart)
    (kept,) = (own_cache / "celery-workers" / "renders").iterdir()
    kept.write_text(kept.read_text()[:20])
    render._remembered.clear()
    render.render([], chart=echo_chart)
    assert len(runs) == 2
    blocked = own_cache / "blocked"
    blocked.write_text("a file where a directory is wanted")
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    render._remembered.clear()
    render.render([], chart=echo_chart)
    assert len(runs) == 3


def test_the_cache_on_disk_stays_small(own_cache: Path, echo_chart: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(render, "MAX_FILES_KEPT", 4)
    for number in range(7):
        render.render([], chart=echo_chart, set_values={"a": number})
    assert len(list((own_cache / "celery-workers" / "renders").iterdir())) <= 4


def test_threads_may_render_at_once(own_cache: Path, echo_chart: Path) -> None:
    def one(number: int) -> int:
        (manifest,) = render.render([], chart=echo_chart, set_values={"a": number % 3})
        return int(json.loads(manifest["data"]["values"])["a"])

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(one, range(24))) == [number % 3 for number in range(24)]


@pytest.mark.parametrize("name", ["Celery", "a_b", "-a", "a" * 54, "", "a b", "--debug"])
def test_impossible_names_are_refused_before_helm_runs(name: str) -> None:
    with pytest.raises(InputError, match="release name"):
        render.render([], release=name)
    if len(name) != 54:
        with pytest.raises(InputError, match="namespace"):
            render.render([], namespace=name)


def test_a_template_that_writes_a_key_twice_is_found(helm: Path, echo_chart: Path) -> None:
    (echo_chart / "templates" / "echo.yaml").write_text("apiVersion: v1\nkind: ConfigMap\nkind: Secret\n")
    with pytest.raises(InputError, match="key 'kind' is given twice"):
        render.render([], helm=helm, chart=echo_chart)


def test_a_template_error_is_one_line(helm: Path, echo_chart: Path) -> None:
    (echo_chart / "templates" / "echo.yaml").write_text("a: {{ .Values.a.b.c }}\n")
    with pytest.raises(InputError, match=r"templates/echo\.yaml:1:\d+") as caught:
        render.render([], helm=helm, chart=echo_chart)
    assert len(str(caught.value).splitlines()) == 2


def test_a_helm_that_hangs_or_is_no_program(echo_chart: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = tmp_path / "helm"
    slow.write_text("#!/bin/sh\nexec sleep 30\n")
    slow.chmod(0o755)
    monkeypatch.setattr(render, "HELM_TIMEOUT_SECONDS", 0.3)
    with pytest.raises(HarnessError, match="no answer within"):
        render.render([], helm=slow, chart=echo_chart)
    slow.chmod(0o644)
    with pytest.raises(HarnessError, match="cannot be run"):
        render.render([], helm=slow, chart=echo_chart)


def test_topology_is_there_once() -> None:
    with pytest.raises(HarnessError, match="0 ConfigMaps"):
        render.topology([])
    one = {"kind": "ConfigMap", "data": {"topology.json": '{"version": 1}'}}
    assert render.topology([one]) == {"version": 1}
    with pytest.raises(HarnessError, match="2 ConfigMaps"):
        render.topology([one, one])
