"""BioVITA Bench: retrieval between modalities, from features made once."""
