"""What every test may rely on."""

from __future__ import annotations

import os

from hypothesis import settings

# No deadlines: a busy machine is slow, not wrong. In CI the examples are the same each time, so that a change is judged
# by its own effect; everywhere else new ones are tried.
settings.register_profile("default", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")
