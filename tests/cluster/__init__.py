"""The product on a real cluster. Only with --cluster (`make e2e`)."""
