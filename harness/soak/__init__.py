"""A soak: a million tasks for the better part of an hour, faults now and then, every single task accounted for."""
