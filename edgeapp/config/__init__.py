"""How the station is configured: one table of settings, a TOML file, the environment, flags."""

from edgeapp.config.load import load
from edgeapp.config.settings import SETTINGS, Setting, Settings

__all__ = ["SETTINGS", "Setting", "Settings", "load"]
