"""A page and an HTTP interface on this machine, and what keeps them harmless."""
