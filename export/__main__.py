"""``python -m export``: the exporter.

A signal that ends it, Ctrl-C among them, leaves nothing half made and is told in one line, also while it is loaded.
"""

from __future__ import annotations

import sys

from edgeapp import interruption


def main() -> None:
    """Run the exporter."""
    interruption.install()
    try:
        from export.cli import main as run

        run()
    except KeyboardInterrupt:
        print("error: interrupted; repeat the command", file=sys.stderr)
        sys.exit(interruption.exit_code())


if __name__ == "__main__":
    main()
