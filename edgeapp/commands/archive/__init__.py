"""``biovita-edge archive`` and the commands on its results."""
