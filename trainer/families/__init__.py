"""Families of towers: one module each, which registers how its towers are built, loaded and exported.

To add a family, write its module beside these and name it in the line below; an audio tower that the exporter does not
know yet also takes a line in `export.lowerings`.
"""

from trainer.families import adapted, biovita, starter, student, trunk

__all__ = ["adapted", "biovita", "starter", "student", "trunk"]
