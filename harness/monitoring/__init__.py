"""What a person and an alert see of a release: series, rules, dashboards, and a Prometheus to try them on."""
