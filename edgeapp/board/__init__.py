"""The machine itself: what it is, its temperature and its power."""
