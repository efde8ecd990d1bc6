"""A finished model in the files of other runtimes, each held to the same answers."""
