"""The settings, and the station that runs with them."""

from __future__ import annotations

from edgeapp.audio.microphones.addresses import is_address
from edgeapp.delivery.station_state import ENDED
from edgeapp.doctor.context import Context, RunningStation
from edgeapp.doctor.finding import Finding, Findings, State, error, ok, skipped, warning
from edgeapp.doctor.hearing import OF_CHANNELS as REMEDIES
from edgeapp.doctor.records import span
from edgeapp.station.microphone_health import DEAF, OF_FAULT
from edgeapp.station.validation import validated

OF_CARD = "check plug, gain and mute (`alsamixer`) of the microphone"
OF_ADDRESS = "look at the camera or the server: its power, its network, its log-in, and whether its microphone is on"
OF_CHANNEL = {OF_FAULT[fault].value: remedy for fault, remedy in REMEDIES.items()}


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
        yield _not_running(running)
        return
    if not running.fresh:
        what = f"process {pid} runs, but last reported {span(running.age_s)} ago"
        yield warning("station", what, "check its log, and restart it if it hangs")
        return
    microphones = [one for one in running.told.get("microphones") or () if isinstance(one, dict)]
    deaf = [_deaf(one) for one in microphones if one.get("state") in DEAF]
    deaf += [_impaired(one) for one in microphones if one.get("state") in OF_CHANNEL]
    journal = running.told.get("journal")
    if isinstance(journal, dict) and journal.get("trouble"):
        what, remedy = _parted(str(journal["trouble"]), "make room on the disk, check the folder of the journal")
        deaf.append(error("station", f"process {pid} cannot write: {what}", remedy))
    yield from deaf or [ok("station", f"process {pid} runs; {_told(microphones)}")]
    yield from _settings(running)


def _not_running(running: RunningStation) -> Finding:
    """A station that ended as it was asked to is no fault; one that vanished is."""
    ago, error_of_end = f"{span(running.age_s)} ago", running.told.get("error")
    if running.told.get("state") == ENDED and error_of_end is None:
        return skipped("station", f"not running; it ended in good order {ago}")
    if running.told.get("state") == ENDED:
        return warning("station", f"ended by an error {ago}: {error_of_end}", "remove its cause, and start it again")
    what = f"process {running.told.get('pid')} last reported {ago}, and vanished without ending"
    remedy = "check its log for a crash, the power and the memory; `biovita-edge service install` has it start again"
    return warning("station", what, remedy)


def _settings(running: RunningStation) -> Findings:
    """Settings that were changed while the station runs."""
    told = running.told.get("settings")
    if not isinstance(told, dict):
        return
    if told.get("error"):
        yield warning("station", f"runs with its settings of before: {told['error']}", "correct them, and reload")
    if told.get("waiting"):
        what = f"{', '.join(map(str, told['waiting']))} changed, and waits for the next start"
        yield warning("station", what, "start the station again")


def _deaf(microphone: dict[str, object]) -> Finding:
    on_its_kind = OF_ADDRESS if is_address(str(microphone.get("name"))) else OF_CARD
    told, remedy = _parted(str(microphone.get("why") or ""), on_its_kind)
    why = f" ({told})" if told else ""
    since = f" since {microphone['since_utc']}" if microphone.get("since_utc") else ""
    what = f"microphone {microphone.get('name')} is {microphone.get('state')}{since}{why}"
    return Finding("station", State.ERROR, what, remedy)


def _parted(told: str, otherwise: str) -> tuple[str, str]:
    """What an error of the station says, and its remedy; another one where it has none."""
    what, _, remedy = told.partition("; ")
    return what, remedy or otherwise


def _impaired(microphone: dict[str, object]) -> Finding:
    what = f"microphone {microphone.get('name')}: {microphone.get('why') or microphone.get('state')}"
    return warning("station", what, OF_CHANNEL[str(microphone["state"])])


def _told(microphones: list[dict[str, object]]) -> str:
    return ", ".join(f"{one.get('name')} {one.get('state')}" for one in microphones) or "without a microphone"
