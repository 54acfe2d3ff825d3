"""Whether an application's tasks can share a gevent loop: sample calls, run under gevent's own blocking monitor."""
