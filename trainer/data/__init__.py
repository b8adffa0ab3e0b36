"""Recordings and photos: manifests, files, shards, vectors, and how samples are drawn."""
