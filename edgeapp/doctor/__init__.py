"""Checks of a station, each finding with its remedy."""
