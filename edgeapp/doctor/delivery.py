"""The targets of messages, each tried for real."""

from __future__ import annotations

from dataclasses import replace

from edgeapp.config.sections import Mqtt, Webhook
from edgeapp.delivery.target import NotSent
from edgeapp.doctor.context import Context
from edgeapp.doctor.finding import Findings, error, ok, skipped, warning
from edgeapp.errors import BiovitaError
from edgeapp.station.assembly import targets

UNREACHED = "check that it runs, its address and port, and the network; messages wait in the journal until then"


def delivery(context: Context) -> Findings:
    """Whether each target can be reached and takes what a message needs."""
    settings = context.settings
    if not context.network:
        yield skipped("delivery", "skipped (--no-network)")
        return
    alone = {
        "mqtt": replace(settings, webhook=Webhook()),
        "webhook": replace(settings, mqtt=Mqtt()),
    }
    tried = False
    for one in alone.values():
        try:
            made = targets(one)
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
