"""`harness render` and `harness validate` as a user runs them: output, files and exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from harness.chart import yaml_strict
from harness.chart.values import ROOT
from tests.commands import harness

LIMIT_SECONDS = 60


def shell(*arguments: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run it as a user does, in a process of its own."""
    command = [sys.executable, "-c", "from harness.cli import main; main()", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_SECONDS, cwd=cwd)


def test_render_prints_yaml_that_reads_back_as_the_json() -> None:
    text = shell("render", "--env", "prod,keda", "--release", "exam", "-n", "school")
    data = harness("render", "--env", "prod,keda", "--release", "exam", "-n", "school", "--json")
    assert (text.returncode, data.returncode, text.stderr) == (0, 0, "")
    document = json.loads(data.stdout)
    assert yaml_strict.load_all_text(text.stdout, "stdout") == document["manifests"]
    assert document["values"] == ["values/prod.yaml", "values/keda.yaml"]
    assert {m["metadata"]["namespace"] for m in document["manifests"]} == {"school"}


def test_render_writes_one_file_an_object(tmp_path: Path) -> None:
    out = tmp_path / "new" / "out"
    done = harness("render", "--env", "dev", "--set", "workers.io.concurrency=50", "--output-dir", out)
    assert (done.returncode, done.stdout) == (0, "")
    files = sorted(path.name for path in out.glob("*.yaml"))
    assert f"{len(files)} objects written to" in done.stderr
    (name,) = [name for name in files if name.endswith("-deployment-celery-io-worker.yaml")]
    (manifest,) = yaml_strict.load_all_text((out / name).read_text(), "file")
    assert "--concurrency=50" in manifest["spec"]["template"]["spec"]["containers"][0]["args"]
    order = [name.split("-")[1] for name in files]
    assert order.index("serviceaccount") < order.index("configmap") < order.index("deployment")
    assert "pod" not in order, "the Pod of `helm test` is no part of an installation"
    again = harness("render", "--env", "prod", "--output-dir", out, "--json")
    assert again.returncode == 0
    assert {str(path) for path in out.glob("*.yaml")} == set(json.loads(again.stdout)["files"])
    (out / "mine.yaml").write_text("a: 1\n")
    blocked = harness("render", "--env", "dev", "--output-dir", out)
    assert blocked.returncode == 2
    assert blocked.stderr.startswith(f"error: --output-dir {out}: holds mine.yaml, which no render wrote")


def test_validate_in_words_and_as_json(tmp_path: Path) -> None:
    good = harness("validate", "--env", "prod")
    assert good.returncode == 0
    assert good.stdout.splitlines()[-1] == "usable: 0 errors, 1 warning"  # there is no Redis
    assert "14 objects: 1 ConfigMap, 3 Deployment, 3 HorizontalPodAutoscaler" in good.stdout
    bad_file = tmp_path / "mine.yaml"
    bad_file.write_text("workers:\n  io:\n    pool: gevnt\n")
    bad = harness("validate", "--env", "prod", "-f", bad_file)
    assert bad.returncode == 2
    first = bad.stdout.splitlines()[0]
    assert first == f'error workers.io.pool ({bad_file}:3): "gevnt" is not a choice here [values-schema]'
    assert bad.stdout.splitlines()[-1] == "not usable: 1 error, 0 warnings"
    document = json.loads(harness("validate", "--env", "prod", "-f", bad_file, "--json").stdout)
    assert document["ok"] is False
    assert document["checks"][0]["problems"][0]["source"] == f"{bad_file}:3"


@pytest.mark.parametrize("command", ["render", "validate"])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--env", "prdo"], "error: unknown environment 'prdo': did you mean prod?"),
        (["--env", ""], "error: no environment named"),
        (["--set", "x"], "error: --set x: write KEY=VALUE"),
        (["--env", "prod", "--release", "Bad Name"], "error: release name 'Bad Name'"),
        (["--nonsense"], "No such option"),
    ],
)
def test_bad_arguments_are_one_message_and_exit_2(command: str, arguments: list[str], message: str) -> None:
    done = harness(command, *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr + done.stdout


def test_render_refuses_bad_values_with_exit_2(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("app: a\napp: b\n")
    done = shell("render", "-f", path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {path}:2: key 'app' is given twice, first on line 1")
    missing = harness("render", "-f", tmp_path / "nowhere.yaml")
    assert (missing.returncode, missing.stderr) == (2, f"error: {tmp_path}/nowhere.yaml: no such file\n")


def test_relative_files_are_the_users_own_directory(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("workers: {io: {concurrency: 77}}\n")
    done = shell("render", "--env", "dev", "-f", "mine.yaml", cwd=tmp_path)
    assert done.returncode == 0
    assert "--concurrency=77" in done.stdout


def test_help_lists_every_option() -> None:
    for command in ("render", "validate"):
        text = harness(command, "--help").stdout
        for option in ("--env", "--values", "--set", "--release", "--namespace", "--json"):
            assert option in text
