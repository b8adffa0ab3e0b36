"""All checks, one after the other; none of them can end the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from edgeapp.doctor import board, delivery, hearing, recognition, records, service
from edgeapp.doctor.context import Context
from edgeapp.doctor.finding import Finding, Findings, error
from edgeapp.errors import BiovitaError

Check = Callable[[Context], Findings]

CHECKS: dict[str, Check] = {
    "config": service.config,
    "versions": recognition.versions,
    "cores": board.cores,
    "recognition": recognition.recognition,
    "station": service.station,
    "microphone": hearing.microphone,
    "journal": records.journal,
    "delivery": delivery.delivery,
    "disk": board.disk,
    "memory": board.memory,
    "temperature": board.temperature,
    "power": board.power,
    "clock": board.clock,
}


def examine(context: Context, checks: Mapping[str, Check] = CHECKS) -> Iterator[Finding]:
    """What the checks find, as they find it."""
    for name, check in checks.items():
        try:
            yield from check(context)
        except BiovitaError as fault:
            yield error(name, fault.what, fault.remedy)
        except Exception as fault:
            # A failing check must not stop the others.
            what = f"check failed unexpectedly ({type(fault).__name__}: {fault})"
            yield error(name, " ".join(what.split()), "please report this message")
