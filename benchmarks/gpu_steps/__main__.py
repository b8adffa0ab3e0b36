"""Run one step in this process: ``python -m benchmarks.gpu_steps STEP SETTINGS RESULT PARENT``."""

from __future__ import annotations

import os
import sys
import threading
import time
from importlib import import_module
from pathlib import Path

from benchmarks.gpu_steps.plan import Settings
from benchmarks.gpu_steps.result import Report


def main() -> None:
    """Run the step and write its rows to the file RESULT. An exception ends the process with a traceback."""
    name, settings, path, parent = sys.argv[1:]
    threading.Thread(target=end_with, args=(int(parent),), daemon=True).start()
    import_module(f"benchmarks.gpu_steps.{name}").run(Settings.from_json(settings), Report(Path(path)))


def end_with(parent: int) -> None:
    """Exit when the parent process has ended, so that the GPU is not held by an orphan."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


if __name__ == "__main__":
    main()
