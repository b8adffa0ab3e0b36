"""``biovita-edge gallery`` and its commands."""
