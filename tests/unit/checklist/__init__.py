"""The spike guide's checklist."""
