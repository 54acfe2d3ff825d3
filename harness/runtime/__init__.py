"""Where rendered manifests run: as processes on this machine (`local`) or on a Kubernetes cluster."""
