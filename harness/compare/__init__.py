"""Two ways of running the same tasks side by side: the same load, the same CPU and memory, and what came of each."""
