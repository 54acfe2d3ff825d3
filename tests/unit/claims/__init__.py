"""Claims of the two documents."""
