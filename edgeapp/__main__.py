"""``python -m edgeapp`` is ``biovita-edge``."""

from edgeapp.cli import main

if __name__ == "__main__":
    main()
