"""What a collection takes, and how it is fetched, where nothing else is asked for."""

from __future__ import annotations

LICENCES = "CC0|PDM|public domain|CC BY*"  # what anybody may use and change, with credits
PHOTOS = 200  # of a species (BioVITA)
BURST = 10  # files of one observer, place and hour
TEST_SHARE = 0.1  # of the sources (BioVITA)
CONNECTIONS = 16
MOST_MB = 2000.0  # of a file
KEEP_FREE_MB = 1000.0  # of the disk
MB = 1_000_000
