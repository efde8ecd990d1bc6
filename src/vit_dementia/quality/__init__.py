"""Is this a usable T1-weighted brain, and is it like the others: verdicts on arrays."""
