"""Benchmarks of aligned encoders: retrieval and traits, from features made once."""
