"""``python -m edgeapp`` is ``biovita-edge``, and what its command runs.

A signal that comes while the command line is loaded, half a second on a small computer, is told in one line as well.
"""

from __future__ import annotations

import atexit
import gc
import sys

from edgeapp import foreign, interruption


def main() -> None:
    """Run ``biovita-edge``."""
    # What is loaded stays to the end: to look for garbage among it takes a third of the time of a short command.
    gc.disable()  # until the command is loaded, see `edgeapp.cli.Commands.get_command`
    atexit.register(gc.freeze)  # first of all, so it runs last
    interruption.install()
    foreign.keep()
    try:
        from edgeapp.cli import main as run

        run()
    except KeyboardInterrupt:
        print("biovita-edge: interrupted", file=sys.stderr)
        foreign.ended()
        sys.exit(interruption.exit_code())


if __name__ == "__main__":
    main()
