"""Names that notebooks of the historical project import."""
