"""The systemd service that keeps a station running."""
