"""Soak test of a station: hours of sound with injected faults, and an account of lost data."""
