"""``biovita-edge journal`` and its commands."""
