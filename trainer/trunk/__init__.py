"""Presets that stand on a given audio encoder: names, and later photos, are trained into the space of its pack."""
