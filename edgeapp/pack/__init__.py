"""Packs: their format, verification and installation."""
