"""The flow of tasks between two decisions of the control plane: an event simulation on plain arrays.

Only numbers and the arrays of `state` go in and nothing is raised, so the same source runs as it stands, which is the
reference, and compiled (`harness.compiling`), which is fast.
"""
