"""Messages to other programs: a stored queue, and one module for each target."""
