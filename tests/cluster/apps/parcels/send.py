"""What the shop's web process would do: `python send.py '[["label.print", "P1", 300], ...]'` prints each result.

With a second argument, `forget`, it waits for none and prints the ids.

The chart's celeryconfig goes over the application's own settings, so that tasks go where its workers listen.
"""

from __future__ import annotations

import json
import os
import sys

import celeryconfig
from parcels import app

ANSWER_SECONDS = 60.0

app.conf.update(celeryconfig.make_settings(celeryconfig.load_topology(), os.environ))


def main(wanted: list[list], *, forget: bool) -> None:
    """Send all, then wait for all."""
    results = [app.send_task(name, args=arguments, ignore_result=forget) for name, *arguments in wanted]
    print(json.dumps({result.id: None if forget else result.get(timeout=ANSWER_SECONDS) for result in results}))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), forget=sys.argv[2:] == ["forget"])
