"""Clips: cut, written with their metadata, and deleted when the disk fills."""
