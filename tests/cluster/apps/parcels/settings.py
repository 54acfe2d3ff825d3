"""Settings of the application, as it has them on a developer's machine: queues, routes and a broker of its own."""

from __future__ import annotations

from kombu import Queue

broker_url = "amqp://guest:guest@localhost:5672//"
result_backend = "rpc://"
result_expires = 600
timezone = "Europe/Vienna"
imports = ("customs",)
task_queues = (Queue("default"), Queue("fast"))
task_routes = {"tracking.*": {"queue": "fast"}}
task_default_queue = "default"
