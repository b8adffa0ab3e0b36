"""Hours of sound for a station, with everything that can happen to it, and an account of what was lost."""
