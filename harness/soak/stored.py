"""A soak that was accounted for, read from its folder."""

from __future__ import annotations

import json

from harness.errors import InputError
from harness.soak import state
from harness.soak.verdict import Verdict


def read(run: state.Run) -> Verdict:
    """Return the verdict. Raises InputError where there is none yet, or it cannot be read."""
    path = run.directory / state.VERDICT
    try:
        return Verdict.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise InputError(
            f"{run.directory}: not accounted for yet; go on with it: harness soak --resume {run.directory}"
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: no soak's verdict: {type(error).__name__}: {error}") from error
