"""Recordings and photos: tables that name them, files, shards and vectors that hold them, and how they are drawn."""
