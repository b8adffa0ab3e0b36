"""Clock: trusted and untrusted times, UTC text, time zones."""
