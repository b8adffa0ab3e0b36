"""The machine: room on the disks, memory, temperature, power, clock."""

from __future__ import annotations

import errno
import os
import platform
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from edgeapp.board.machine import onnxruntime_version
from edgeapp.clock.sources import BUILT_UTC
from edgeapp.clock.system import judgement_of
from edgeapp.doctor.context import Context
from edgeapp.doctor.finding import Finding, Findings, error, ok, skipped, warning
from edgeapp.station.assembly import waiting_for_clock

MB = 1_000_000
DISK_LEAST, DISK_LITTLE = 100 * MB, 500 * MB  # a month of detections takes a few MB; clips are deleted in time
FILES_LITTLE = 1_000
MEMORY_LEAST, MEMORY_LITTLE = 100 * MB, 250 * MB  # a station takes less than 250 MB
MEMORY_LITTLE_RUNNING = 50 * MB  # when the station has its own already
HOT_C = 85.0  # where a board does not say at what it slows down
WARM_C = 75.0  # some boards call 50 degrees a trip point, at which only a fan starts
NEAR_C = 3.0
BATTERY_LOW = 15

# Bits of a Raspberry Pi's get_throttled: https://www.raspberrypi.com/documentation/computers/os.html#get_throttled
PI_NOW = {0: "the voltage is too low", 1: "the processor is slowed down", 2: "it is throttled", 3: "it is too hot"}
PI_SINCE = 16
PI_THROTTLED = "sys/devices/platform/soc/soc:firmware/get_throttled"

CORES = "sys/devices/system/cpu"
CORES_MAY_BE_OFF = (1, 27)  # from this ONNX Runtime on; see docs/arm64.md
ARM = ("aarch64", "arm64")


def disk(context: Context) -> Findings:
    """Whether journal, clips and log can be written, and for how long."""
    settings = context.settings
    folders = {"journal": settings.journal_path.parent, "status": settings.status_path.parent}
    if settings.clips.folder is not None:
        folders["clips"] = settings.clips.folder
    if settings.log.file is not None:
        folders["log"] = settings.log.file.parent
    by_folder: dict[Path, list[str]] = {}
    for use, folder in folders.items():
        by_folder.setdefault(folder.absolute(), []).append(use)
    for folder, uses in by_folder.items():
        yield _folder(folder, f"{' and '.join(uses)} in {folder}")


def _folder(folder: Path, what: str) -> Finding:
    there = next(one for one in (folder, *folder.parents) if one.exists())
    if not there.is_dir():
        return error("disk", f"{what}: {there} is not a folder", "move it away, or name another folder")
    try:
        with tempfile.TemporaryFile(dir=there) as file:
            file.write(bytes(4096))
            file.flush()
    except OSError as fault:
        full = fault.errno in (errno.ENOSPC, errno.EDQUOT)
        remedy = "make room on the disk" if full else "give the user of the station the right to write there"
        return error("disk", f"{what}: cannot be written ({fault.strerror or fault})", remedy)
    usage, files = shutil.disk_usage(there), os.statvfs(there)
    figures = f"{what}: can be written, {_size(usage.free)} of {_size(usage.total)} free"
    if usage.free < DISK_LEAST:
        return error("disk", figures, "make room on the disk")
    if usage.free < DISK_LITTLE:
        return warning("disk", figures, "make room on the disk")
    if files.f_files and files.f_favail < FILES_LITTLE:
        return warning("disk", f"{what}: room for {files.f_favail} files only", "delete small files on this disk")
    return ok("disk", figures)


def memory(context: Context) -> Findings:
    """Whether the station fits into what is free."""
    try:
        lines = (context.root / "proc/meminfo").read_text().splitlines()
        kilobytes = {line.partition(":")[0]: int(line.split()[1]) for line in lines if len(line.split()) > 1}
        available, total = kilobytes["MemAvailable"] * 1024, kilobytes["MemTotal"] * 1024
    except (OSError, ValueError, KeyError):
        yield skipped("memory", "unknown on this system")
        return
    limit = _number(context.root / "sys/fs/cgroup/memory.max")  # of a container; "max" is none
    used = _number(context.root / "sys/fs/cgroup/memory.current")
    if limit is not None and used is not None and limit < total:
        total, available = round(limit), min(available, round(limit - used))
    what = f"{_size(available)} of {_size(total)} available"
    if context.hears_now:
        if available < MEMORY_LITTLE_RUNNING:
            yield warning("memory", f"{what} beside the running station", "end other programs")
        else:
            yield ok("memory", f"{what} beside the running station")
    elif available < MEMORY_LEAST:
        yield error("memory", what, "end other programs; a station takes up to 250 MB")
    elif available < MEMORY_LITTLE:
        yield warning("memory", what, "end other programs; a station takes up to 250 MB")
    else:
        yield ok("memory", what)


def cores(context: Context) -> Findings:
    """Whether cores are switched off with which ONNX Runtime ends the process."""
    online, present = (_text(context.root / CORES / name) for name in ("online", "present"))
    if not online or not present:
        yield skipped("cores", "unknown on this system")
    elif cores_abort(context):
        what = f"{online} of {present} are on, with which ONNX Runtime {onnxruntime_version()} ends the process"
        yield warning("cores", what, "choose a power mode with all cores (`nvpmodel`), or install ONNX Runtime 1.27")
    else:
        yield ok("cores", f"{online} of {present} are on")


def cores_abort(context: Context) -> bool:
    """Whether a session of ONNX Runtime would end this process: microsoft/onnxruntime issues 24221 and 25103."""
    online, present = (_text(context.root / CORES / name) for name in ("online", "present"))
    version = tuple(int(part) for part in re.findall(r"\d+", onnxruntime_version())[:2])
    return platform.machine() in ARM and bool(online) and online != present and () < version < CORES_MAY_BE_OFF


def temperature(context: Context) -> Findings:
    """Whether a sensor is near its throttling or shutdown temperature."""
    zones = []
    for zone in sorted((context.root / "sys/class/thermal").glob("thermal_zone*")):
        milli = _number(zone / "temp")
        # Sensors that are off say 0, -40 or -127.
        if milli is not None and 0 < milli < 150_000:
            zones.append((milli / 1000, _text(zone / "type") or zone.name, dict(_trips(zone))))
    if not zones:
        yield skipped("temperature", "no readable sensor")
        return
    told = []
    for celsius, name, trips in zones:
        off = min(trips.get("critical", 200.0), trips.get("hot", 200.0))
        slow = max(trips.get("passive", HOT_C), WARM_C)
        what = f"{name} is at {celsius:.0f} °C"
        if celsius >= off - NEAR_C:
            told.append(error("temperature", f"{what}, it switches off at {off:.0f}", "cool it now: shade, air, a fan"))
        elif celsius >= slow:
            told.append(warning("temperature", f"{what}, it slows down from {slow:.0f}", "give it shade, air or a fan"))
    hottest = max(zones)
    yield from told or [
        ok("temperature", f"the hottest of {len(zones)} sensors, {hottest[1]}, is at {hottest[0]:.0f} °C")
    ]


def _trips(zone: Path) -> Iterator[tuple[str, float]]:
    """Lowest believable temperature of each kind of trip point, in degrees Celsius."""
    found: dict[str, float] = {}
    for kind in zone.glob("trip_point_*_type"):
        milli = _number(kind.with_name(kind.name.replace("_type", "_temp")))
        name = _text(kind)
        if milli is not None and 40_000 <= milli <= 150_000:
            found[name] = min(found.get(name, 200.0), milli / 1000)
    yield from found.items()


def power(context: Context) -> Findings:
    """Whether the board reports undervoltage, or a low battery."""
    told: list[Finding] = []
    throttled = _text(context.root / PI_THROTTLED)
    if throttled:
        told.append(_raspberry(int(throttled, 16)))
    for counter in sorted((context.root / "sys/class/hwmon").glob("hwmon*/oc*_event_cnt")):
        if (events := _number(counter)) is not None:
            name = counter.name.removesuffix("_event_cnt")
            told.append(
                warning(
                    "power", f"{name}: {events:.0f} times over its current since the start", "use a stronger supply"
                )
                if events
                else ok("power", f"{name}: never over its current since the start")
            )
    for supply in sorted((context.root / "sys/class/power_supply").glob("*")):
        charge = _number(supply / "capacity")
        # A mouse has a battery too, of the scope "Device".
        if _text(supply / "type") != "Battery" or _text(supply / "scope") == "Device" or charge is None:
            continue
        what = f"battery {supply.name} at {charge:.0f} %, {_text(supply / 'status').lower() or 'unknown state'}"
        low = charge < BATTERY_LOW and _text(supply / "status") == "Discharging"
        told.append(warning("power", what, "charge it") if low else ok("power", what))
    yield from told or [skipped("power", "unknown on this machine")]


def _raspberry(bits: int) -> Finding:
    now = [what for bit, what in PI_NOW.items() if bits >> bit & 1]
    since = [what for bit, what in PI_NOW.items() if bits >> bit + PI_SINCE & 1]
    remedy = "use the supply made for the board and a short cable; give it air"
    if now:
        return error("power", f"now: {', '.join(now)}", remedy)
    if since:
        return warning("power", f"at some time since the start: {', '.join(since)}", remedy)
    return ok("power", "enough voltage since the start, never slowed down")


def clock(context: Context) -> Findings:
    """Whether times can be trusted, who says so, and what waits for it."""
    now = context.clock.now()
    judged = judgement_of(context.clock)
    time = now.utc.strftime("%Y-%m-%d %H:%M:%S UTC")
    remedy = "connect it to a network once, or give it a GPS receiver or a clock with a battery"
    if now.utc < BUILT_UTC:
        yield error("clock", f"{time} is in the past", remedy)
    elif not now.clock_set:
        why = "no time service says that this is right" if judged is None else judged.why
        waits = "; ".join(("rows are marked so", *waiting_for_clock(context.settings)))
        yield warning("clock", f"{time}, but not set: {why}; {waits}", f"{remedy}, or set clock = trusted in [station]")
    else:
        yield ok("clock", time if judged is None else f"{time}, {judged.why}")


def _size(bytes: float) -> str:
    return f"{bytes / 1e9:.1f} GB" if bytes >= 1e9 else f"{bytes / 1e6:.0f} MB"


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""


def _number(path: Path) -> float | None:
    try:
        return float(_text(path))
    except ValueError:
        return None
