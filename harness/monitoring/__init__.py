"""What a release is watched with: series, rules, dashboards, and a Prometheus beside a local run."""
