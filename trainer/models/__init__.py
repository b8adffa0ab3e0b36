"""Audio, text and image towers."""
