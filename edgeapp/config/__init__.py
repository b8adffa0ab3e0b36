"""How the station is configured: one table of settings, a TOML file, the environment, flags."""

from edgeapp.config.load import load
from edgeapp.config.setting import Setting
from edgeapp.config.settings import SETTINGS, Settings

__all__ = ["SETTINGS", "Setting", "Settings", "load"]
