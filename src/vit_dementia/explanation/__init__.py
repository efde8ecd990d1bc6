"""Where a network looked and what its answer hangs on, measured, not only drawn."""
