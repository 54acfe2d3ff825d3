"""Releases: versions, changelog, rules, bills of materials."""
