"""The cluster runtime: a release installed by helm, watched through the API server."""

from harness.runtime.cluster.runtime import ClusterRuntime

__all__ = ["ClusterRuntime"]
