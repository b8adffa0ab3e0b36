"""The published BioVITA, or any folder in its layout, to a pack with a gallery of names, in one command."""
