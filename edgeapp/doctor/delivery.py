"""The targets of messages, each tried for real."""

from __future__ import annotations

from edgeapp.delivery.target import NotSent
from edgeapp.doctor.context import Context
from edgeapp.doctor.finding import Findings, error, ok, skipped, warning
from edgeapp.errors import BiovitaError
from edgeapp.station.targets import OF_TARGET, only, targets

UNREACHED = "check that it runs, its address and port, and the network; messages wait in the journal until then"


def delivery(context: Context) -> Findings:
    """Whether each target can be reached and takes what a message needs."""
    settings = context.settings
    if not context.network:
        yield skipped("delivery", "skipped (--no-network)")
        return
    tried = False
    for alone in OF_TARGET:
        try:
            made = targets(only(settings, alone))
        except BiovitaError:
            tried = True  # the check of the settings has told it
            continue
        for name, target in made.items():
            tried = True
            try:
                probed = target.probe()
            except NotSent as fault:
                yield error("delivery", f"{name}: {fault.what}", fault.remedy or UNREACHED)
            else:
                if probed.doubt:
                    yield warning("delivery", f"{name}: {probed.what}, but {probed.doubt}", probed.remedy)
                else:
                    yield ok("delivery", f"{name}: {probed.what}")
    if not tried:
        yield skipped("delivery", "no target is configured")
