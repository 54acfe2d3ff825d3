"""Releases: whether the tree is fit for one, the files that say its version, and what is handed out."""
