"""Time that says whether it can be trusted, as text in UTC, and in zones."""
