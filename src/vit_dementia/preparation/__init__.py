"""From a scan as read to what a network reads: one spec, saved with the model."""
