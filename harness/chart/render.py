"""Renders the chart with helm: strict values in, manifests as plain data out, remembered by content."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import subprocess
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import tools
from harness.chart import values as chart_values
from harness.chart import values_schema, yaml_strict
from harness.chart.problems import Problem
from harness.chart.values import CHART, Values, environment_files, load_values
from harness.errors import HarnessError, InputError
from harness.files import write_privately

__all__ = ["CHART", "Rendered", "environment_files", "load_values", "render", "render_with_warnings", "topology"]

CHART_RULES = "chart-rules"
HELM_TIMEOUT_SECONDS = 60.0
MAX_REMEMBERED = 64
MAX_FILES_KEPT = 1024  # a run of all tests makes some 500
_CACHE_FORMAT = 1
_DNS_NAME = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_MAX_RELEASE = 53  # helm's own limit

_remembered: OrderedDict[str, str] = OrderedDict()
_remembered_lock = threading.Lock()


@dataclass(frozen=True)
class Rendered:
    """The manifests of one render, and what helm warned about."""

    manifests: list[dict[str, Any]]
    warnings: list[str]


class ValuesRefusedError(InputError):
    """The chart refuses a set of values; `problems` has each reason."""

    def __init__(self, message: str, problems: tuple[Problem, ...]) -> None:
        super().__init__(message)
        self.problems = problems


def render(
    values: Sequence[Path],
    *,
    release: str = "celery",
    namespace: str = "default",
    set_values: Mapping[str, Any] | None = None,
    helm: Path | None = None,
    chart: Path = CHART,
) -> list[dict[str, Any]]:
    """Return the manifests of the chart with these values files, later ones over earlier ones.

    `set_values` (dotted keys or nested maps) goes over the files. The result is the caller's own copy. Raises
    InputError for what the chart refuses, naming key, file and fix; HarnessError when helm does not work.
    """
    return render_with_warnings(
        values, release=release, namespace=namespace, set_values=set_values, helm=helm, chart=chart
    ).manifests


def render_with_warnings(
    values: Sequence[Path],
    *,
    release: str = "celery",
    namespace: str = "default",
    set_values: Mapping[str, Any] | None = None,
    helm: Path | None = None,
    chart: Path = CHART,
) -> Rendered:
    """Return the manifests together with helm's warnings; otherwise as `render`."""
    loaded = chart_values.read(values, set_values=set_values, chart=chart)
    return render_values(loaded, release=release, namespace=namespace, helm=helm, chart=chart)


def render_values(
    loaded: Values,
    *,
    release: str = "celery",
    namespace: str = "default",
    helm: Path | None = None,
    chart: Path = CHART,
) -> Rendered:
    """Return the manifests of values that were read already; otherwise as `render_with_warnings`."""
    _check_names(release, namespace)
    program = helm or tools.find_helm()
    key = _key(program, chart, loaded, (release, namespace))
    text = _recall(key)
    if text is None:
        text = _render_text(program, chart, loaded, release=release, namespace=namespace)
        _remember(key, text)
    data = json.loads(text)
    return Rendered(data["manifests"], data["warnings"])


def topology(manifests: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return topology.json of a render. Raises HarnessError when there is not exactly one."""
    found = [
        manifest["data"]["topology.json"]
        for manifest in manifests
        if manifest.get("kind") == "ConfigMap" and "topology.json" in (manifest.get("data") or {})
    ]
    if len(found) != 1:
        raise HarnessError(f"{len(found)} ConfigMaps with a topology.json in the manifests, one is needed")
    data: dict[str, Any] = json.loads(found[0])
    return data


def explain(stderr: str, values: Values, *, chart: Path = CHART) -> list[Problem]:
    """Return what helm refused as problems with key, source and fix; our own schema check words schema errors."""
    text = re.sub(r"^Error: ", "", stderr.strip())
    text = re.sub(r"\n+Use --debug flag to render out invalid YAML$", "", text).strip()
    if "don't meet the specifications of the schema" in text:
        return values_schema.check(values, chart=chart) or _schema_lines(text, values)
    failed = re.search(r"execution error at \([^)]*\): (.*)", text, re.DOTALL)
    if failed:
        return _fail_lines(failed[1], values)
    return [Problem("", re.sub(r"\s*\n\s*", " ", text) or "helm failed without a message", rule="helm-render")]


def refusal(problems: Sequence[Problem], values: Values) -> ValuesRefusedError:
    """Return the error that reports problems with a set of values."""
    names = ", ".join(document.name for document in values.documents) or "the chart's defaults"
    lines = "\n".join(f"  - {problem.text()}" for problem in problems)
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    return ValuesRefusedError(f"the chart refuses these values ({names}), {count}:\n{lines}", tuple(problems))


def _check_names(release: str, namespace: str) -> None:
    if not re.fullmatch(_DNS_NAME, release) or len(release) > _MAX_RELEASE:
        raise InputError(
            f"release name {release!r}: use lower-case letters, digits and dashes, at most {_MAX_RELEASE} characters"
        )
    if not re.fullmatch(_DNS_NAME, namespace) or len(namespace) > 63:
        raise InputError(f"namespace {namespace!r}: use lower-case letters, digits and dashes, at most 63 characters")


def _render_text(program: Path, chart: Path, loaded: Values, *, release: str, namespace: str) -> str:
    done = _run_helm(
        [program, "template", release, chart, "--namespace", namespace, "--values", "-"], _as_yaml(loaded.overrides)
    )
    if done.returncode:
        raise refusal(explain(done.stderr, loaded, chart=chart), loaded)
    manifests = yaml_strict.load_all_text(done.stdout, "rendered manifests")
    return json.dumps({"manifests": manifests, "warnings": _warnings(done.stderr)})


def _as_yaml(data: Mapping[str, Any]) -> str:
    """Return JSON that YAML 1.1 reads alike: no surrogate pairs, nothing raw that YAML forbids or folds."""
    text = json.dumps(data, ensure_ascii=False)
    return re.sub(r"[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]", lambda found: f"\\u{ord(found[0]):04x}", text)


def _run_helm(arguments: Sequence[str | Path], stdin: str) -> subprocess.CompletedProcess[str]:
    # No kubeconfig: a render needs no cluster, and helm would comment on the file's permissions.
    environment = {**os.environ, "KUBECONFIG": os.devnull}
    environment.pop("HELM_DEBUG", None)
    try:
        return subprocess.run(
            [str(argument) for argument in arguments],
            input=stdin,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=HELM_TIMEOUT_SECONDS,
            env=environment,
        )
    except OSError as error:
        raise HarnessError(f"{arguments[0]} cannot be run: {error}; set HELM to a working helm") from error
    except subprocess.TimeoutExpired as error:
        raise HarnessError(f"helm template gave no answer within {HELM_TIMEOUT_SECONDS:.0f} s") from error


def _warnings(stderr: str) -> list[str]:
    """Return helm's warnings without the log format, which differs between its versions."""
    found = []
    for line in filter(None, map(str.strip, stderr.splitlines())):
        message = re.search(r'msg="((?:[^"\\]|\\.)*)"', line)
        text = json.loads(f'"{message[1]}"') if message else line
        found.append(re.sub(r"^\S+\.go:\d+: ", "", text).removeprefix("warning: "))
    return found


def _schema_lines(text: str, values: Values) -> list[Problem]:
    """Return one problem a line of helm's `- at '/workers/io': message`."""
    problems = []
    for pointer, message in re.findall(r"^- at '([^']*)': (.*)$", text, re.MULTILINE):
        path = _pointer(pointer)
        problems.append(
            Problem(yaml_strict.show_path(path), message, rule=values_schema.RULE, source=values.source(path))
        )
    return problems or [Problem("", text, rule=values_schema.RULE)]


def _pointer(pointer: str) -> tuple[str | int, ...]:
    parts = [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]
    return tuple(int(part) if part.isdigit() else part for part in parts)


def _fail_lines(text: str, values: Values) -> list[Problem]:
    """Return one problem an item of the chart's list `- path: rule; fix`; any other text is one problem."""
    items = re.findall(r"^\s*- (.*)$", text, re.MULTILINE)
    return [_fail_line(item, values) for item in items] or [Problem("", text.strip(), rule=CHART_RULES)]


def _fail_line(item: str, values: Values) -> Problem:
    found = re.fullmatch(r'((?:[A-Za-z0-9_.\[\]-]|\["[^"]+"\])+): (.*?)(?:; ([^;]*))?', item)
    if found is None:
        return Problem("", item, rule=CHART_RULES)
    parts = re.findall(r'\["([^"]+)"\]|([^.\[\]]+)', found[1])
    path = tuple(quoted or (int(plain) if plain.isdigit() else plain) for quoted, plain in parts)
    return Problem(found[1], found[2], found[3] or "", rule=CHART_RULES, source=values.source(path))


def _key(program: Path, chart: Path, loaded: Values, names: tuple[str, str]) -> str:
    stat = program.resolve().stat()
    digest = hashlib.sha256()
    identity = (_CACHE_FORMAT, str(program.resolve()), stat.st_size, stat.st_mtime_ns, names)
    digest.update(repr(identity).encode())
    digest.update(json.dumps(loaded.overrides, sort_keys=True).encode())
    for path in _chart_files(chart):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(chart)} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def _chart_files(chart: Path) -> Iterator[Path]:
    skipped = chart / "tests"
    yield from (path for path in sorted(chart.rglob("*")) if path.is_file() and skipped not in path.parents)


def _cache_file(key: str) -> Path:
    return tools.cache_home() / "renders" / f"{key}.json"


def _recall(key: str) -> str | None:
    with _remembered_lock:
        if key in _remembered:
            _remembered.move_to_end(key)
            return _remembered[key]
    with contextlib.suppress(OSError, ValueError):
        text = _cache_file(key).read_text(encoding="utf-8")
        json.loads(text)  # a file cut short by a full disk is no render
        _keep_in_process(key, text)
        return text
    return None


def _remember(key: str, text: str) -> None:
    _keep_in_process(key, text)
    # The cache on disk only saves time: a home that cannot be written to is no error.
    with contextlib.suppress(OSError):
        path = _cache_file(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_privately(path, text)
        _prune(path.parent)


def _keep_in_process(key: str, text: str) -> None:
    with _remembered_lock:
        _remembered[key] = text
        while len(_remembered) > MAX_REMEMBERED:
            _remembered.popitem(last=False)


def _prune(directory: Path) -> None:
    """Delete the oldest half once there are too many; another process may be doing the same."""
    files = list(directory.iterdir())
    if len(files) <= MAX_FILES_KEPT:
        return
    ages = {}
    for path in files:
        with contextlib.suppress(OSError):
            ages[path] = path.stat().st_mtime
    for path in sorted(ages, key=ages.__getitem__)[: len(ages) // 2]:
        path.unlink(missing_ok=True)
