"""Emergency commands: overrides with an end, and everything that undoes them.

overrides, objects, engine and expiry also run inside a cluster, in the release's own image, to undo an override whose
command has long ended: these four need the standard library and harness.errors only.
"""
