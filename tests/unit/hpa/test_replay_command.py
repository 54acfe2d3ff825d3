"""`harness hpa replay` as a user meets it: what it prints, what it refuses and in which words."""

from __future__ import annotations

import io
import json
import re
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from harness.cli import main

EXAMPLES = Path(__file__).parent / "examples"
HPA = ("--hpa", str(EXAMPLES / "hpa.yaml"), "--name", "celery-cpu-worker")
SCALED = ("--hpa", str(EXAMPLES / "scaled-object.yaml"))
CPU = ("--observations", str(EXAMPLES / "cpu.jsonl"))


class Outcome(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


@pytest.fixture
def harness(capsys):
    def run(*arguments: str) -> Outcome:
        with pytest.raises(SystemExit) as ended:
            main(["hpa", "replay", *map(str, arguments)])
        out, err = capsys.readouterr()
        return Outcome(ended.value.code or 0, out, err)

    return run


def write(path: Path, *documents: Any) -> Path:
    path.write_text("".join(json.dumps(one) + "\n" for one in documents))
    return path


def depth(t: float, messages: int, replicas: int = 1, **more: Any) -> dict[str, Any]:
    external = {"s0-rabbitmq-io": [str(messages)]}
    return {"t": t, "replicas": {"spec": replicas, "status": replicas}, "external": external, **more}


@pytest.mark.parametrize(("manifest", "name"), [(HPA, "cpu"), (SCALED, "io")])
def test_the_examples_decisions(harness, manifest, name):
    found = harness(*manifest, "--observations", EXAMPLES / f"{name}.jsonl")
    assert found == (0, (EXAMPLES / f"{name}.decided.jsonl").read_text(), "")
    assert [set(line) for line in found.lines] == [{"t", "desired", "reason"}] * len(found.lines)


def test_the_table_has_the_changes_only(harness):
    found = harness(*SCALED, "--observations", EXAMPLES / "io.jsonl", "--table")
    assert found.code == 0
    rows = re.findall(r"^ *([\d.]+) +(\d+ -> \d+) ", found.out, re.MULTILINE)
    assert rows == [("15.0", "1 -> 4"), ("75.0", "4 -> 7"), ("165.0", "7 -> 5")]
    assert found.out.splitlines()[-1] == "16 decisions, 3 changes"


def test_the_controllers_flags_count(harness, tmp_path):
    lines = [depth(0, 0), depth(15, 210), depth(30, 210)]
    seen = write(tmp_path / "seen.jsonl", *lines)
    assert [line["desired"] for line in harness(*SCALED, "--observations", seen).lines] == [1, 1, 1]
    narrow = harness(*SCALED, "--observations", seen, "--tolerance", "0.01")
    assert [line["desired"] for line in narrow.lines] == [1, 2, 2]
    falling = harness(*HPA, *CPU, "--downscale-stabilization-seconds", "0")
    assert falling.lines == harness(*HPA, *CPU).lines  # the manifest says 300 s itself
    starting = harness(*HPA, *CPU, "--cpu-initialization-seconds", "0", "--initial-readiness-delay-seconds", "0")
    assert starting.lines != harness(*HPA, *CPU).lines


def test_of_observations_a_second_those_at_the_syncs_count(harness, tmp_path):
    seen = write(tmp_path / "seen.jsonl", *(depth(t, 5200) for t in range(61)))
    found = harness(*SCALED, "--observations", seen, "--sync-seconds", "15")
    assert [line["t"] for line in found.lines] == [0, 15, 30, 45, 60]
    table = harness(*SCALED, "--observations", seen, "--sync-seconds", "15", "--table")
    assert table.code == 0
    assert "replicas" in table.out


def test_standard_input(harness, tmp_path, monkeypatch):
    text = json.dumps(depth(0, 5200)) + "\n\n"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    assert [line["desired"] for line in harness(*SCALED, "--observations", "-").lines] == [4]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO((EXAMPLES / "scaled-object.yaml").read_bytes())))
    seen = write(tmp_path / "seen.jsonl", depth(0, 5200))
    assert [line["desired"] for line in harness("--hpa", "-", "--observations", seen).lines] == [4]


def test_a_scaled_object_is_also_called_by_its_autoscalers_name(harness):
    for name in ("celery-io-worker", "keda-hpa-celery-io-worker"):
        assert harness(*SCALED, "--name", name, "--observations", EXAMPLES / "io.jsonl").code == 0


def test_other_deployments_observations_are_passed_over(harness, tmp_path):
    mine, other = (depth(0, 5200, deployment=f"celery-{name}-worker") for name in ("io", "cpu"))
    seen = write(tmp_path / "seen.jsonl", other, mine, other)
    assert len(harness(*SCALED, "--observations", seen).lines) == 1
    found = harness(*SCALED, "--observations", write(seen, other))
    assert found.code == 2
    assert f"{seen}: no observations of Deployment celery-io-worker, only of celery-cpu-worker" in found.err


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", ":2: not JSON: "),
        ("[1]", ":2 must be a mapping, not [1]"),
        ('{"t": 1, "t": NaN}', ":2: not JSON: NaN is no number"),
        ('{"t": 1e999, "replicas": {"spec": 1, "status": 1}}', ":2: t is inf, must be a number of seconds"),
        ('{"t": 1}', ":2: replicas is missing"),
        ('{"t": 1, "replicas": {"spec": 1.5, "status": 1}}', ":2: replicas.spec is 1.5, must be a whole number"),
        ('{"t": -1, "replicas": {"spec": 1, "status": 1}}', ":2: t is -1, before the one above it, 0"),
        ("[" * 100_000, ":2: not JSON: "),
        ("\xff\xfe", ":2: not JSON: "),
    ],
)
def test_a_bad_line_is_named_after_the_good_ones_are_decided(harness, tmp_path, line, message):
    seen = tmp_path / "seen.jsonl"
    seen.write_bytes(json.dumps(depth(0, 5200)).encode() + b"\n" + line.encode("latin-1") + b"\n")
    found = harness(*SCALED, "--observations", seen)
    assert found.code == 2
    assert [one["t"] for one in found.lines] == [0]
    assert f"error: {seen}{message}" in found.err
    assert found.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "give --hpa and --observations, or --run"),
        (SCALED, "give --hpa and --observations, or --run"),
        (("--hpa", "-", "--observations", "-"), "only one of --hpa and --observations can be standard input"),
        ((*SCALED, "--run", "x"), "--run brings its own"),
        (("--run", "nowhere"), "nowhere: no such directory, nor a run in reports"),
        (("--hpa", "nowhere.yaml", *CPU), "nowhere.yaml: no such file"),
        ((*SCALED, "--observations", "nowhere.jsonl"), "nowhere.jsonl: cannot be read: No such file"),
        ((*HPA[:2], *CPU), "2 autoscalers; choose one by --name: HorizontalPodAutoscaler celery-cpu-worker, Hori"),
        ((*HPA[:3], "other", *CPU), "no autoscaler is called other; there are: HorizontalPodAutoscaler celery-cpu-w"),
        ((*HPA, *CPU, "--tolerance", "nan"), "nan is no finite number"),
        ((*HPA, *CPU, "--cpu-initialization-seconds", "inf"), "inf is no finite number"),
        ((*HPA, *CPU, "--sync-seconds", "0"), "not in the range x>0"),
    ],
)
def test_refused(harness, arguments, message):
    found = harness(*arguments)
    assert (found.code, found.out) == (2, "")
    assert message in " ".join(found.err.split())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kind: Deployment", "holds no HorizontalPodAutoscaler and no ScaledObject"),
        ("", "holds no HorizontalPodAutoscaler"),
        ("a: [", "not YAML"),
        ("apiVersion: autoscaling/v1\nkind: HorizontalPodAutoscaler\nmetadata: {name: a}\n",
         "HorizontalPodAutoscaler a: apiVersion must be autoscaling/v2"),
        ("apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: a}\nspec: {maxReplicas: 0}\n",
         "HorizontalPodAutoscaler a: spec.scaleTargetRef is missing"),
        ("apiVersion: keda.sh/v1alpha1\nkind: ScaledObject\nmetadata: {name: a, annotations: "
         '{autoscaling.keda.sh/paused: "true"}}\nspec: {scaleTargetRef: {name: a}, triggers: [{type: cron, metadata: '
         '{start: 0 8 * * *, end: 0 9 * * *, timezone: UTC, desiredReplicas: "2"}}]}\n',
         "ScaledObject a: paused by annotation"),
    ],
)  # fmt: skip
def test_refused_manifests(harness, tmp_path, text, message):
    manifest = tmp_path / "manifest.yaml"
    manifest.write_text(text)
    found = harness("--hpa", manifest, *CPU)
    assert found.code == 2
    assert str(manifest) in found.err
    assert message in found.err
