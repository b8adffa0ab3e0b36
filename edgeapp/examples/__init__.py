"""A sound to try the program with, and how it was made."""
