"""How many workers an archive is heard by, if nobody says."""

from __future__ import annotations

from edgeapp.board.machine import available_cores
from edgeapp.recognition.recogniser import Recogniser
from edgeapp.runtime.settings import CPU


def default_workers(recogniser: Recogniser) -> int:
    """One a core, or as many as its threads leave room for; one a GPU."""
    if recogniser.encoder.provider == CPU:
        return max(1, available_cores() // recogniser.threads)
    from edgeapp.runtime.tensorrt.cuda import gpu_count

    return max(1, gpu_count())
