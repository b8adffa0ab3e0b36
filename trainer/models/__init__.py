"""The towers and the space they share."""
