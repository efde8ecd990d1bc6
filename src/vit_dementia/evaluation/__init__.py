"""Predictions in, honest numbers out: arrays and tables only, never torch or images."""
