"""Redis and PostgreSQL for tests and local runs, as ordinary processes in a directory of their own."""
