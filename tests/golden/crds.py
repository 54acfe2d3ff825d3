"""Schemas of custom resources, made of the definitions that KEDA and the Prometheus operator make of their Go types.

`make crds` reads them out of the pinned modules of tools/ and writes harness/chart/crds/; a test compares. Left out are
texts, defaults, what a server does (status) and CEL rules, which JSON Schema cannot say. A map with known fields is
closed: an API server would drop the others in silence, or refuse them where validation is strict.
"""

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness import tools
from harness.chart import yaml_strict
from harness.chart.custom_resources import FOLDER, PROVIDERS
from harness.cluster import programs

# Provider -> the pinned module, its definitions, and the patches its own installation lays over them.
SOURCES: Mapping[str, tuple[tools.Tool, Mapping[str, str], Mapping[str, str]]] = {
    "keda": (
        programs.KEDA,
        {
            "ScaledObject": "config/crd/bases/keda.sh_scaledobjects.yaml",
            "TriggerAuthentication": "config/crd/bases/keda.sh_triggerauthentications.yaml",
        },
        {"ScaledObject": "config/crd/patches/scaledobject_patch.yaml"},
    ),
    "prometheus-operator": (
        tools.TOOLS["prometheus-operator"],
        {
            "PodMonitor": "example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml",
            "PrometheusRule": "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml",
            "ServiceMonitor": "example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml",
        },
        {},
    ),
}
# KEDA's triggers -> the Go type that reads their metadata, whose tags say which keys there are.
TRIGGERS: Mapping[str, tuple[str, str]] = {
    "cpu": ("cpu_memory_scaler.go", "cpuMemoryMetadata"),
    "cron": ("cron_scaler.go", "cronMetadata"),
    "memory": ("cpu_memory_scaler.go", "cpuMemoryMetadata"),
    "prometheus": ("prometheus_scaler.go", "prometheusMetadata"),
    "rabbitmq": ("rabbitmq_scaler.go", "rabbitMQMetadata"),
}
_KEPT = (
    "type", "enum", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minLength", "maxLength", "pattern",
    "minItems", "maxItems", "minProperties", "maxProperties", "required",
)  # fmt: skip
_METADATA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "pattern": "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", "maxLength": 253},
        "namespace": {"type": "string", "minLength": 1},
        "labels": {"type": "object", "additionalProperties": {"type": "string", "maxLength": 63}},
        "annotations": {"type": "object", "additionalProperties": {"type": "string"}},
    },
    "required": ["name"],
}
_OPEN = "x-kubernetes-preserve-unknown-fields"


def documents() -> dict[Path, str]:
    """Return each file of harness/chart/crds with the text it must have. Downloads the pinned modules when missing."""
    return {FOLDER / f"{name}.json": _document(name) for name in PROVIDERS}


def schema_of(definition: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return `group/version/Kind` -> JSON Schema, for each version a definition serves."""
    spec = definition["spec"]
    kind, found = spec["names"]["kind"], {}
    for version in (version for version in spec["versions"] if version["served"]):
        api_version = f"{spec['group']}/{version['name']}"
        schema = strict(version["schema"]["openAPIV3Schema"])
        schema["properties"].pop("status", None)
        schema["properties"] |= {"apiVersion": {"const": api_version}, "kind": {"const": kind}, "metadata": _METADATA}
        schema["required"] = sorted({*schema.get("required", ()), "apiVersion", "kind", "metadata"})
        found[f"{api_version}/{kind}"] = schema
    return found


def strict(node: Mapping[str, Any]) -> dict[str, Any]:
    """Return a structural schema of Kubernetes as a closed JSON Schema."""
    result: dict[str, Any] = {key: node[key] for key in _KEPT if key in node}
    if node.get("x-kubernetes-int-or-string"):
        result["type"] = ["integer", "string"]
    if node.get("nullable"):
        result["type"] = [result["type"], "null"]
    for key in ("items", "additionalProperties", "not"):
        if key in node:
            result[key] = strict(node[key]) if isinstance(node[key], Mapping) else node[key]
    if not node.get("x-kubernetes-int-or-string"):  # its anyOf repeats the two types
        result |= {key: [strict(inner) for inner in node[key]] for key in ("anyOf", "oneOf", "allOf") if key in node}
    if "properties" in node:
        result["properties"] = {key: strict(inner) for key, inner in node["properties"].items()}
        if "type" in node and "additionalProperties" not in node and not node.get(_OPEN):
            result["additionalProperties"] = False
    return result


def main() -> None:
    """Write every file that differs."""
    for path, text in documents().items():
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
            print(f"crds: wrote {path.name}", file=sys.stderr)


def _document(provider: str) -> str:
    tool, definitions, patches = SOURCES[provider]
    home = tools.module_directory(tool)
    schemas: dict[str, Any] = {}
    for kind, name in definitions.items():
        (definition,) = yaml_strict.load_all_text((home / name).read_text(), name)
        if kind in patches:
            _patch(definition, (home / patches[kind]).read_text(), patches[kind])
        schemas |= schema_of(definition)
    document = {"version": tools.pinned_version(tool), "schemas": schemas}
    if provider == "keda":
        document["triggers"] = {kind: _trigger(home / "pkg" / "scalers", *place) for kind, place in TRIGGERS.items()}
    return json.dumps(document, indent=1, sort_keys=True) + "\n"


def _trigger(scalers: Path, file: str, type_name: str) -> dict[str, list[str]]:
    """Return which keys of a trigger's metadata KEDA reads, and which must be there."""
    text = (scalers / file).read_text()
    (body,) = re.findall(rf"^type {type_name} struct {{\n(.*?)^}}", text, re.MULTILINE | re.DOTALL)
    if "authentication.Config" in body:
        body += (scalers / "authentication" / "authentication_types.go").read_text()
    reads, needs = set(), set()
    for tag in re.findall(r'`keda:"([^"]*)"', body):
        options = dict(part.strip().partition("=")[::2] for part in tag.split(","))
        if "triggerMetadata" in options.get("order", "") and "deprecated" not in options:
            names = options["name"].split(";")
            reads |= set(names)
            if options["order"] == "triggerMetadata" and not {"optional", "default"} & set(options):
                needs |= set(names)
    return {"reads": sorted(reads), "needs": sorted(needs)}


def _patch(definition: dict[str, Any], text: str, name: str) -> None:
    """Apply a JSON patch that only adds to maps."""
    operations = yaml_strict.load_text(f"patch:\n{text.replace('---', '', 1)}", name)["patch"]
    for operation in operations:
        assert operation["op"] == "add", operation
        *around, last = operation["path"].split("/")[1:]
        node: Any = definition
        for key in around:
            node = node[int(key)] if isinstance(node, list) else node[key]
        node[last] = operation["value"]


if __name__ == "__main__":
    main()
