"""Recordings, any number of them, one after the other."""
