"""Families of towers: one module each, which registers how its towers are built, loaded and exported.

To add a family, add a module and import it below; a new kind of audio tower also needs an entry in `export.lowerings`.
"""

from trainer.families import adapted, biovita, starter, student, trunk

__all__ = ["adapted", "biovita", "starter", "student", "trunk"]
