"""The Go programs a cluster is made of, each pinned under tools/."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from harness import tools
from harness.cluster.versions import Versions

_KUBERNETES = "k8s.io/kubernetes/cmd"
_STAMP = "k8s.io/component-base/version"

KUBERNETES = tools.ToolFamily(
    "kubernetes",
    f"{_KUBERNETES}/kubelet",
    companions=tuple(
        f"{_KUBERNETES}/{name}"
        for name in ("kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler", "kubeadm", "kubectl")
    ),
    stamps=(
        f"{_STAMP}.gitVersion={{version}}",
        f"{_STAMP}.gitMajor={{major}}",
        f"{_STAMP}.gitMinor={{minor}}",
        f"{_STAMP}.gitTreeState=clean",
    ),
)
KUBECTL = tools.ToolFamily("kubernetes", f"{_KUBERNETES}/kubectl", stamps=KUBERNETES.stamps)
KIND = tools.Tool("kind", "sigs.k8s.io/kind")
ETCD = tools.Tool("etcd", "go.etcd.io/etcd/server/v3")
# With the plugins that kubeadm's configuration names: all of them take several minutes more to build.
COREDNS = tools.Tool("coredns", "celery-workers.example/tools/coredns", module="github.com/coredns/coredns")
CRICTL = tools.Tool("crictl", "sigs.k8s.io/cri-tools/cmd/crictl", "sigs.k8s.io/cri-tools/pkg/version.Version")
METRICS_SERVER = tools.Tool("metrics-server", "sigs.k8s.io/metrics-server/cmd/metrics-server")
KEDA = tools.ToolFamily(
    "keda",
    "github.com/kedacore/keda/v2/cmd/operator",
    companions=("github.com/kedacore/keda/v2/cmd/adapter",),
    stamps=("github.com/kedacore/keda/v2/version.Version={version}",),
)
PAUSE = tools.Tool("pause", "celery-workers.example/tools/pause")
ALL = (KUBERNETES, KIND, ETCD, COREDNS, CRICTL, METRICS_SERVER, KEDA)


def pins(versions: Versions) -> Mapping[str, str]:
    """Return the version each pin under tools/ has to name, by the pin's name."""
    return {
        "kubernetes": versions.kubernetes,
        "kind": versions.kind,
        "etcd": versions.etcd,
        "coredns": versions.coredns,
        "crictl": versions.crictl,
        "metrics-server": versions.metrics_server,
        "keda": versions.keda,
    }


def find_kind(version: str) -> Path:
    """Return kind of exactly this version: the one on PATH, else one built from its pin. Raises HarnessError."""
    on_path = shutil.which("kind")
    if on_path and f"kind v{version} " in tools.answer([on_path, "version"]):
        return Path(on_path)
    return tools.build(KIND)


def find_kubectl() -> Path:
    """Return the cluster's own kubectl, built from its pin. Raises HarnessError."""
    family = tools.binary_of(KUBERNETES).with_name("kubectl")
    return family if family.exists() else tools.build(KUBECTL)
