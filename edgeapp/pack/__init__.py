"""The folder that makes a device work: its format and verification."""
