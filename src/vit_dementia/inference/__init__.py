"""A trained model and its answers."""
