"""The machine: description, temperature and power."""
