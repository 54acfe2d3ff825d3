"""Rendered manifests as processes of this machine: what the kubelet, the Deployment controller and the HPA would do."""

from harness.runtime.local.runtime import LocalRuntime

__all__ = ["LocalRuntime"]
