"""Foretelling a run: the queues, the workers and their autoscalers in virtual time. Pure and deterministic by seed.

    plant = Plant(classes=(...), queues=(...), publisher=..., node=..., ...)    # what there is
    load = Load(due_seconds=..., task=..., tasks=(...))                         # what is offered, and when
    trace = simulate(plant, load, rng=numpy.random.default_rng(1), limit_seconds=600)
"""
