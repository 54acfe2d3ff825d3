"""Stand-ins for the services the tasks use, in one process: an SMTP sink and HTTP services.

`python -m examx.standins --help`. They record every delivery by task id and never remove a duplicate: what came
twice stands twice in the journal.
"""
