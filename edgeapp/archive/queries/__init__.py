"""Queries of the results of an archive: selections, summaries, the same output again, and what sounds alike."""
