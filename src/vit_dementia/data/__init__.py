"""Scans on disk: who, what, where and which label; splits, batches and phantoms."""
