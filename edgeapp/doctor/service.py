"""The settings, and the station that runs with them."""

from __future__ import annotations

from edgeapp.doctor.context import Context
from edgeapp.doctor.finding import Finding, Findings, State, error, ok, skipped, warning
from edgeapp.doctor.records import span
from edgeapp.station.validation import validated

DEAF = ("silent", "stalled", "lost")


def config(context: Context) -> Findings:
    """Whether the settings can be used."""
    faults = validated(context.loaded).faults
    for fault in faults:
        yield error("config", f"{fault.where}: {fault.what}", fault.remedy)
    if not faults:
        file = context.settings.file
        yield ok("config", f"{file}: valid" if file else "no settings file, every setting has its default")


def station(context: Context) -> Findings:
    """Whether a station runs here, and its microphones work."""
    path = context.settings.status_path
    try:
        running = context.running
    except (ValueError, OSError) as fault:
        yield warning("station", f"{path}: cannot be read ({fault})", "restart the station to write the file again")
        return
    if running is None:
        yield skipped("station", "no station has run with these settings")
        return
    pid = running.told.get("pid")
    if not running.alive:
        if running.fresh:
            what = f"process {pid} last reported {span(running.age_s)} ago, and no longer runs"
            yield warning(
                "station", what, "check its log; `biovita-edge service install` runs it as a service that restarts"
            )
        else:
            yield skipped("station", f"not running; last reported {span(running.age_s)} ago")
        return
    if not running.fresh:
        what = f"process {pid} runs, but last reported {span(running.age_s)} ago"
        yield warning("station", what, "check its log, and restart it if it hangs")
        return
    microphones = [one for one in running.told.get("microphones") or () if isinstance(one, dict)]
    deaf = [_deaf(one) for one in microphones if one.get("state") in DEAF]
    journal = running.told.get("journal")
    if isinstance(journal, dict) and journal.get("trouble"):
        what = f"process {pid} cannot write: {journal['trouble']}"
        deaf.append(error("station", what, "make room on the disk, check the folder of the journal"))
    yield from deaf or [ok("station", f"process {pid} runs; {_told(microphones)}")]


def _deaf(microphone: dict[str, object]) -> Finding:
    why = f" ({microphone['why']})" if microphone.get("why") else ""
    since = f" since {microphone['since_utc']}" if microphone.get("since_utc") else ""
    what = f"microphone {microphone.get('name')} is {microphone.get('state')}{since}{why}"
    return Finding("station", State.ERROR, what, "check plug, gain and mute (`alsamixer`) of the microphone")


def _told(microphones: list[dict[str, object]]) -> str:
    return ", ".join(f"{one.get('name')} {one.get('state')}" for one in microphones) or "without a microphone"
