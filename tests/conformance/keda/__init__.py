"""The harness's reading of ScaledObjects against KEDA itself on random stories: `make conformance-keda`."""
