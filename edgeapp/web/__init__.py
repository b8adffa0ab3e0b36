"""The live page of a station and the pages of a journal."""
