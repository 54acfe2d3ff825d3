"""A kind cluster to run the chart on: made with a container registry, or from packages alone."""
