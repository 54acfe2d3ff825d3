"""RabbitMQ for a run: getting one, asking it, reading its dead letters."""
