"""The spike guide's verification checklist, each line held against what is there."""
