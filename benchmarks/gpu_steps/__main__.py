"""One step, in this process: ``python -m benchmarks.gpu_steps STEP SETTINGS RESULT``."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

from benchmarks.gpu_steps.plan import Settings
from benchmarks.gpu_steps.result import Report


def main() -> None:
    """Run the step; its rows are in the file RESULT. What is raised ends the process with a traceback."""
    name, settings, path = sys.argv[1:]
    import_module(f"benchmarks.gpu_steps.{name}").run(Settings.from_json(settings), Report(Path(path)))


if __name__ == "__main__":
    main()
