"""Foretelling a spike: what values and a load make of each other, before anything runs."""
