"""The chart's values and manifests: reading, rendering, checking."""
