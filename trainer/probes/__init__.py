"""Probes of one encoder: audio-to-image retrieval on SSW60, and traits of species."""
