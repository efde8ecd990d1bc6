"""What combines rooms: evaluate, cross-validate, report, demo."""
