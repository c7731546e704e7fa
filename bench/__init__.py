"""Reproducible measurements, with the last results beside them; not part of the package."""
