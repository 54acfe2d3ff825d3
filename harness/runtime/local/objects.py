"""A release's manifests sorted into what the local runtime runs, reads and leaves out. No I/O."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from harness.errors import InputError
from harness.runtime.base import Manifest, Release
from harness.runtime.local import features
from harness.runtime.local.environment import Files, Sources

# The chart's own broker for development: the harness brings the broker and fills its Secret instead.
BROKER_COMPONENTS = ("broker", "rabbitmq")
HOOK = "helm.sh/hook"


@dataclass(frozen=True)
class Objects:
    """What a release consists of. `skipped` names what is deliberately not run, with the reason."""

    sources: Sources
    deployments: tuple[Manifest, ...]
    jobs: tuple[Manifest, ...]
    autoscalers: tuple[Manifest, ...]
    skipped: tuple[str, ...]


def sort_release(release: Release) -> Objects:
    """Sort a release's manifests; its own secrets win over rendered ones. Raises InputError for what cannot be run."""
    kept: dict[str, list[Manifest]] = {"Deployment": [], "Job": [], "autoscaler": []}
    config_maps: dict[str, Files] = {}
    secrets: dict[str, Files] = {}
    skipped = []
    for manifest in release.manifests:
        kind, name = str(manifest.get("kind")), manifest["metadata"]["name"]
        reason = _skip_reason(manifest)
        if reason:
            skipped.append(f"{features.described(manifest)}: {reason}")
        elif kind == "ConfigMap":
            config_maps[name] = config_map_files(manifest)
        elif kind == "Secret":
            secrets[name] = {**_decoded(manifest.get("data")), **_text(manifest.get("stringData"))}
        elif kind in features.WORKLOADS:
            kept[kind].append(_checked(manifest))
        elif kind in features.AUTOSCALERS:
            kept["autoscaler"].append(manifest)
        elif kind not in features.IGNORED_KINDS:
            raise InputError(f"{features.described(manifest)}: the local runtime does not know this kind of object")
    _require_broker_secret(release)
    secrets.update({name: _text(data) for name, data in release.secrets.items()})
    return Objects(
        sources=Sources(config_maps, secrets),
        deployments=tuple(kept["Deployment"]),
        jobs=tuple(kept["Job"]),
        autoscalers=_one_each(kept["autoscaler"], kept["Deployment"]),
        skipped=tuple(skipped),
    )


def config_map_files(manifest: Manifest) -> Files:
    """Return what a ConfigMap holds, file name -> content."""
    return {**_text(manifest.get("data")), **_decoded(manifest.get("binaryData"))}


def target_name(autoscaler: Manifest) -> str:
    """Return the name of the Deployment an HPA or ScaledObject scales. Raises InputError for another kind."""
    target = autoscaler["spec"]["scaleTargetRef"]
    if target.get("kind", "Deployment") != "Deployment":
        raise InputError(
            f"{features.described(autoscaler)}: it scales a {target['kind']}; only Deployments run locally"
        )
    return str(target["name"])


def _skip_reason(manifest: Manifest) -> str:
    metadata = manifest.get("metadata") or {}
    hooks = [hook.strip() for hook in (metadata.get("annotations") or {}).get(HOOK, "").split(",") if hook.strip()]
    if hooks and not any(hook in ("pre-install", "post-install") for hook in hooks):
        return f"a helm hook for {', '.join(hooks)}"
    component = (metadata.get("labels") or {}).get("app.kubernetes.io/component")
    if component in BROKER_COMPONENTS and manifest.get("kind") not in (*features.CONTENT, *features.IGNORED_KINDS):
        return "the broker comes from the harness"
    return ""


def _require_broker_secret(release: Release) -> None:
    """Refuse a rendered Secret of the embedded broker, whose address exists on a cluster only."""
    for manifest in release.manifests:
        labels = manifest["metadata"].get("labels") or {}
        name = manifest["metadata"]["name"]
        embedded = manifest.get("kind") == "Secret" and labels.get("app.kubernetes.io/component") in BROKER_COMPONENTS
        if embedded and name not in release.secrets:
            raise InputError(
                f"Secret {name} is the embedded broker's, which does not run locally: "
                "give the release a Secret of that name with this machine's broker"
            )


def _checked(manifest: Manifest) -> Manifest:
    if manifest["kind"] == "Deployment":
        features.check_deployment(manifest)
    else:
        features.check_job(manifest)
    return manifest


def _one_each(autoscalers: Iterable[Manifest], deployments: Iterable[Manifest]) -> tuple[Manifest, ...]:
    known = {deployment["metadata"]["name"] for deployment in deployments}
    by_target: dict[str, Manifest] = {}
    for autoscaler in autoscalers:
        target = target_name(autoscaler)
        if target not in known:
            raise InputError(f"{features.described(autoscaler)}: it scales Deployment {target}, which is not rendered")
        if target in by_target:
            other = features.described(by_target[target])
            raise InputError(f"{features.described(autoscaler)}: {other} scales Deployment {target} already; keep one")
        by_target[target] = autoscaler
    return tuple(by_target.values())


def _text(data: Mapping[str, Any] | None) -> dict[str, bytes]:
    return {key: str(value).encode() for key, value in (data or {}).items()}


def _decoded(data: Mapping[str, Any] | None) -> dict[str, bytes]:
    return {key: base64.b64decode(value) for key, value in (data or {}).items()}
