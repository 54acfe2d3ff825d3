"""The web front: tasks come in over HTTP, as a real spike does. `python -m examx.web` serves it."""
