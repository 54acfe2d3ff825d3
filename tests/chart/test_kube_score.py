"""kube-score finds nothing in any environment but what kube_score_exceptions.yaml gives a reason for."""

from __future__ import annotations

import functools
import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from harness import tools
from harness.chart import kubernetes_schema, yaml_strict
from harness.chart.render import render
from tests.golden import refresh

EXCEPTIONS = Path(__file__).resolve().with_name("kube_score_exceptions.yaml")
GOOD = 10  # kube-score's grade for nothing found
pytestmark = pytest.mark.xdist_group("kube-score")


@dataclass(frozen=True)
class Finding:
    check: str
    subject: str  # Kind/name
    container: str
    summary: str

    def __str__(self) -> str:
        return f"{self.subject} {self.container}: {self.summary} [{self.check}]"


@functools.cache
def exceptions() -> list[Mapping[str, Any]]:
    return list(yaml_strict.load_file(EXCEPTIONS)["exceptions"])


@functools.cache
def findings(name: str) -> tuple[Finding, ...]:
    newest = kubernetes_schema.supported_versions()[-1]
    program = tools.build(tools.TOOLS["kube-score"])
    command = [str(program), "score", "--output-format", "json", "--kubernetes-version", f"v{newest}", "-"]
    text = yaml_strict.dump_all(render(refresh.files()[name]))
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60)
    return tuple(found(json.loads(done.stdout)))


def found(scored: list[Any]) -> Iterator[Finding]:
    for subject in scored:
        kind, name = subject["type_meta"]["kind"], subject["object_meta"]["name"]
        for check in subject["checks"]:
            if not check["skipped"] and check["grade"] < GOOD:
                for comment in check["comments"] or [{"path": "", "summary": "found"}]:
                    yield Finding(check["check"]["id"], f"{kind}/{name}", comment["path"], comment["summary"])


def excepted(finding: Finding, exception: Mapping[str, Any]) -> bool:
    pairs = [(exception["check"], finding.check), (exception.get("objects", ".*"), finding.subject)]
    pairs.append((exception.get("containers", ".*"), finding.container))
    return all(re.fullmatch(pattern, text) for pattern, text in pairs)


# Overlays on an environment differ from it in figures; those that bring objects are among the features.
FILES = [
    name if name in ("dev", "prod") or name.startswith("feature-") else pytest.param(name, marks=pytest.mark.full)
    for name in refresh.files()
]


@pytest.mark.parametrize("name", FILES)
def test_there_is_no_finding_without_a_reason(name: str) -> None:
    left = [str(it) for it in findings(name) if not any(excepted(it, exception) for exception in exceptions())]
    assert left == []


@pytest.mark.full
def test_every_exception_has_a_reason_and_is_needed() -> None:
    everything = [finding for name in refresh.files() for finding in findings(name)]
    for exception in exceptions():
        assert exception["reason"].strip(), exception
        assert any(excepted(finding, exception) for finding in everything), f"nothing needs {exception}"


def test_a_finding_is_noticed() -> None:
    """A Deployment with a container that has no limits, as kube-score sees it."""
    assert any(it.check == "container-resources" and it.container == "wait" for it in findings("feature-app"))
