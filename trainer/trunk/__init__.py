"""Presets in the space of a pack: names and photos are trained against its class vectors."""
