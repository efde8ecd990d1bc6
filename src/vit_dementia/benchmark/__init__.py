"""Speed and memory beside other libraries, side by side on the same work."""
