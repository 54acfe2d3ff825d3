"""Recorded observations of an autoscaler: making them on a cluster, and deciding on them again."""
