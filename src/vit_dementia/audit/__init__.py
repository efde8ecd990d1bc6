"""What is wrong with a cohort: leaks, repeats and what a model could cheat with."""
