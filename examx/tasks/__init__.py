"""The 25 tasks, by what they work with. Each is registered under its short name; see examx.catalogue."""
