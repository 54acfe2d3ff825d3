"""The autoscaler's core against Kubernetes' own controller on random hours: `make conformance`."""
