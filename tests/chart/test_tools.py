"""Finding and building tools: order of the search, versions, builds at the same time, failures."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import tools
from harness.errors import HarnessError, InputError


def program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def helm_saying(path: Path, version: str) -> Path:
    return program(path, f"echo '{version}'")


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No helm on PATH, none named, an empty cache, and builds that only say so."""
    monkeypatch.delenv("HELM", raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(tools, "build", lambda tool: Path("/built") / tool.name)
    return tmp_path


def test_the_named_one_comes_first_then_path_then_a_build(empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert tools.find_helm() == Path("/built/helm4")
    assert tools.find_helm(3) == Path("/built/helm3")
    on_path = helm_saying(empty / "bin" / "helm", "v3.14.2+gc309b6f")
    assert tools.find_helm() == on_path
    named = helm_saying(empty / "mine", "v4.3")
    monkeypatch.setenv("HELM", str(named))
    assert tools.find_helm() == named
    assert tools.find_helm(4) == named
    assert tools.find_helm(3) == on_path
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    assert tools.find_helm(3) == Path("/built/helm3")


def test_a_name_on_path_works_for_helm_too(empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = helm_saying(empty / "bin" / "helm-canary", "v4.0.1")
    monkeypatch.setenv("HELM", "helm-canary")
    assert tools.find_helm() == found


@pytest.mark.parametrize("version", ["v3.13.9", "v2.17.0+gabc", "Client: v2.16.1+gbbdfe5e"])
def test_too_old_names_version_path_and_fix(empty: Path, monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    on_path = helm_saying(empty / "bin" / "helm", version)
    with pytest.raises(InputError) as caught:
        tools.find_helm()
    assert str(on_path) in str(caught.value)
    assert "is too old, 3.14 or newer is needed" in str(caught.value)
    assert "take it off PATH" in str(caught.value)
    monkeypatch.setenv("HELM", str(on_path))
    with pytest.raises(InputError, match="unset HELM"):
        tools.find_helm()


def test_a_helm_that_is_none(empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELM", str(empty / "nowhere"))
    with pytest.raises(InputError, match=r"HELM=.*nowhere: no such program"):
        tools.find_helm()
    for text in ("echo 3.15.0 of something", "exit 1", "echo v3.20; exit 3", "true"):
        monkeypatch.setenv("HELM", str(program(empty / f"fake{abs(hash(text))}", text)))
        with pytest.raises(InputError, match="does not answer"):
            tools.find_helm()
    monkeypatch.delenv("HELM")
    with pytest.raises(InputError, match="helm 9 is not one of the pinned"):
        tools.find_helm(9)


def test_a_helm_that_hangs_is_given_up(empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "ANSWER_TIMEOUT_SECONDS", 0.3)
    monkeypatch.setenv("HELM", str(program(empty / "slow", "exec sleep 30")))
    with pytest.raises(InputError, match="cannot be run"):
        tools.find_helm()


def test_an_older_go_on_path_is_passed_over(empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go = program(empty / "bin" / "go", "echo go version go1.19.8 linux/amd64")
    monkeypatch.setattr(tools, "_packaged_go", lambda minimum: Path("/packaged") / str(minimum[1]))
    assert tools.find_go((1, 19, 0)) == go
    assert tools.find_go((1, 26, 8)) == Path("/packaged/26")


def test_the_pins_name_the_packages_that_are_built() -> None:
    for tool in tools.TOOLS.values():
        module = tools._pin(tool, "go.mod").decode()
        assert f"tool {tool.package}\n" in module
        assert tools._pinned_version(tool, module).startswith("v")
        assert tools._required_go(module) >= (1, 24, 0)


ALIGNED = ("helm3", "helm4", "helm-unittest", "coredns", "crictl", "metrics-server")


def test_programs_of_the_same_libraries_have_them_in_the_same_versions() -> None:
    """Go compiles what they share once then: some five minutes less on a bare machine."""
    found: dict[str, set[str]] = {}
    for name in ALIGNED:
        for module, version in re.findall(
            r"^\t(\S+) (v\S+)", (tools.ROOT / "tools" / name / "go.mod").read_text(), re.M
        ):
            found.setdefault(module, set()).add(version)
    assert {module: versions for module, versions in found.items() if len(versions) > 1} == {
        "helm.sh/helm/v3": {"v3.22.0", "v3.21.3"}  # helm-unittest's own
    }


FAKE_GO = """
case "$1" in
  version) echo go version go1.99.0 linux/amd64;;
  build) shift; while [ "$1" != -o ]; do shift; done
    made="$2/$(basename "$3")"; echo building >> "$FAKE_GO_LOG"; sleep 0.5; echo made > "$made"; chmod +x "$made";;
  list) echo "fetching $(basename "$PWD")" >> "$FAKE_GO_LOG"; [ -z "$FAKE_GO_SLOW" ] || exec sleep 60;;
  test) [ "$2" = -c ]; while [ "$1" != -o ]; do shift; done; echo "tests of $3" > "$2";;
esac
"""


@pytest.fixture
def fake_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    program(tmp_path / "bin" / "go", FAKE_GO)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("FAKE_GO_LOG", str(tmp_path / "log"))
    return tmp_path


def test_builds_at_the_same_time_build_once(fake_go: Path) -> None:
    code = "from harness import tools; print(tools.find_helm_unittest())"
    command = [sys.executable, "-c", code]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tools.ROOT) for _ in range(4)]
    answers = {process.communicate(timeout=60)[0].strip() for process in running}
    assert len(answers) == 1
    binary = Path(answers.pop())
    assert binary.read_text() == "made\n"
    assert (fake_go / "log").read_text().splitlines() == ["building"]
    assert [path.name for path in binary.parent.iterdir()] == [binary.name]


def test_what_is_not_built_is_fetched_meanwhile(fake_go: Path) -> None:
    tools.find_helm_unittest()
    with tools.fetching([tools.TOOLS["helm-unittest"], tools.TOOLS["helm3"], tools.TOOLS["helm4"]]):
        eventually(lambda: said(fake_go) == ["building", "fetching helm3", "fetching helm4"])


@pytest.mark.timeout(50)
def test_a_download_ends_with_what_it_was_for(fake_go: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_GO_SLOW", "1")
    with tools.fetching([tools.TOOLS["helm3"], tools.TOOLS["helm4"]]):
        eventually(lambda: said(fake_go) == ["fetching helm3"])
    assert said(fake_go) == ["fetching helm3"]  # and the slow one was not waited for: the test's limit says so


def said(fake_go: Path) -> list[str]:
    log = fake_go / "log"
    return log.read_text().splitlines() if log.exists() else []


def eventually(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_tests_are_built_as_a_program(fake_go: Path) -> None:
    oracle = tools.GoTest("hpa-oracle", "celery-workers.example/tools/hpa-oracle", module="k8s.io/kubernetes")
    binary = tools.build(oracle)
    assert binary.read_text() == "tests of celery-workers.example/tools/hpa-oracle\n"
    assert binary.is_relative_to(fake_go / "cache")
    assert tools.pinned_version(oracle).startswith("v1.")


def test_a_failed_build_shows_what_go_said_and_leaves_nothing(fake_go: Path) -> None:
    program(fake_go / "bin" / "go", '[ "$1" = version ] && echo go1.99 || { echo no network; exit 1; }')
    with pytest.raises(HarnessError, match=r"building helm-unittest v.* with Go failed \(exit 1\):\nno network"):
        tools.find_helm_unittest()
    assert [path for path in (fake_go / "cache").rglob("*") if path.is_file() and path.suffix != ".lock"] == []


def test_a_build_that_takes_too_long_is_ended_with_all_it_started(
    fake_go: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    child = fake_go / "child"
    program(fake_go / "bin" / "go", f'[ "$1" = version ] && echo go1.99 && exit; sleep 60 & echo $! > {child}; wait')
    monkeypatch.setattr(tools, "PROGRESS_SECONDS", 0.2)
    monkeypatch.setattr(tools, "BUILD_TIMEOUT_SECONDS", 0.5)
    with pytest.raises(HarnessError, match="given up"):
        tools.find_helm_unittest()
    assert "still building helm-unittest" in capsys.readouterr().err
    deadline = time.monotonic() + 10
    while alive(int(child.read_text())):
        assert time.monotonic() < deadline, "the compiler's child is still there 10 s after the build was given up"
        time.sleep(0.05)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z" or os.getppid() == pid


@pytest.mark.parametrize(("configured", "expected"), [("/x", "/x"), ("", "~/.cache"), ("relative", "~/.cache")])
def test_the_cache_is_where_the_desktop_rules_put_it(
    monkeypatch: pytest.MonkeyPatch, configured: str, expected: str
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", configured)
    assert tools.cache_home() == Path(expected).expanduser() / "celery-workers"


def test_a_built_helm_knows_a_kubernetes_its_chart_asks_for(helm: Path, echo_chart: Path) -> None:
    chart = echo_chart / "Chart.yaml"
    chart.write_text(f'{chart.read_text()}kubeVersion: ">=1.29.0-0"\n')
    subprocess.run([helm, "template", "celery", echo_chart], check=True, capture_output=True, timeout=60)
