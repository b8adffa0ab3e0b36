"""Probes of one encoder: what its vectors know of the photos of SSW60, and of the traits of a species."""
