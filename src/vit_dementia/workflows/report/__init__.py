"""The report of an evaluation: what stands in it, its words, figures and cards."""
