"""Cases for promtool: series go in, and an alert must fire at some moments and be silent at others.

A case does not repeat an alert's text: it looks at ALERTS, the series Prometheus itself keeps of what fires.
tests/chart/rules/texts.yaml holds the texts, an example of each alert.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LIMIT_SECONDS = 300
Moment = str  # as promtool takes it: 90s, 12m, 1d1h
Rules = dict[str, Any]  # a rules file's content


@dataclass(frozen=True)
class Case:
    """`series` by selector, in promtool's notation, one sample every `interval`."""

    name: str
    alert: str
    series: Mapping[str, str]
    fires: Sequence[Moment] = ()
    silent: Sequence[Moment] = ()
    labels: Mapping[str, str] = field(default_factory=dict)  # of the alert, beside its name
    interval: str = "15s"
    rules: str = "prod"  # which of the rendered rules

    def as_test(self, texts: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
        """Return promtool's form; `texts` are the alerts in full, with labels and annotations, when it first fires."""
        shown = [{"eval_time": self.fires[0], "alertname": self.alert, "exp_alerts": list(texts)}] if texts else []
        labels = {"alertname": self.alert, "alertstate": "firing", **self.labels}
        selector = ",".join(f'{name}="{value}"' for name, value in labels.items())
        # promtool does not print a test's name, but the expression with its comment.
        expression = f"count(ALERTS{{{selector}}}) > bool 0 # case {self.name}"
        one = [{"labels": "{}", "value": 1}]
        fires = [{"expr": expression, "eval_time": at, "exp_samples": one} for at in self.fires]
        silent = [{"expr": expression, "eval_time": at, "exp_samples": []} for at in self.silent]
        return {
            "name": self.name,
            "interval": self.interval,
            "input_series": [{"series": name, "values": values} for name, values in self.series.items()],
            "promql_expr_test": [*fires, *silent],
            "alert_rule_test": shown,
        }


def write(
    cases: Sequence[Case], rules: Mapping[str, Rules], directory: Path, *, texts: Mapping[str, Any]
) -> list[Path]:
    """Write a file of tests for each alert, interval and rules: promtool evaluates all of a file equally often.

    They are JSON, which is YAML too and written a hundred times as fast.
    """
    groups: dict[tuple[str, str, str], list[Case]] = {}
    for case in cases:
        groups.setdefault((case.rules, case.alert, case.interval), []).append(case)
    paths = []
    for (name, alert, interval), members in groups.items():
        path = directory / f"{name}-{alert}-{interval}.yaml"
        used = path.with_suffix(".rules.yaml")
        used.write_text(json.dumps(needed(rules[name], alert)))
        tests = [case.as_test(texts.get(case.name, ())) for case in members]
        document = {"rule_files": [str(used)], "evaluation_interval": interval, "tests": tests}
        path.write_text(json.dumps(document))
        paths.append(path)
    return paths


def needed(rules: Rules, alert: str) -> Rules:
    """Return the rules that an alert needs, in their groups: all of them take promtool ten times as long."""
    everything = [rule for group in rules["groups"] for rule in group["rules"]]
    wanted = {alert}
    while True:
        taken = [rule for rule in everything if (rule.get("alert") or rule["record"]) in wanted]
        more = {name for rule in taken for name in re.findall(r"celery_workers:[a-z0-9_:]+", rule["expr"])}
        if more <= wanted:
            break
        wanted |= more
    groups = [{**group, "rules": [rule for rule in group["rules"] if rule in taken]} for group in rules["groups"]]
    return {"groups": [group for group in groups if group["rules"]]}


def run(paths: Sequence[Path]) -> subprocess.CompletedProcess[str]:
    """Run promtool on files of tests."""
    program = shutil.which("promtool")
    assert program, "promtool is missing: make setup installs it"
    command = [program, "test", "rules", *map(str, paths)]
    return subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False)


def failures(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """Return case -> what promtool says against it; under "" what belongs to none."""
    said: dict[str, str] = {}
    name = ""
    for line in (done.stdout + done.stderr).splitlines():
        found = re.search(r"# case (.*?)\", time|alertname: (\w+), time", line)
        name = found[1] or found[2] if found else name
        said[name] = said.get(name, "") + line + "\n"
    return said
