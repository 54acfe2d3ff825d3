"""The figures and promises of the two documents, each with the run that tests it and what came of it."""
