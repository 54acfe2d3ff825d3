"""Measurements: ratios, each taken within one run on one machine."""
