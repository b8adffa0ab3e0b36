"""Power consumption of a board: Jetson's INA3221, any hwmon power sensor, or the processor's RAPL counter.

Sources: the kernel's ``Documentation/hwmon/ina3221.rst`` and ``sysfs-interface.rst`` (millivolt, milliampere,
microwatt), ``Documentation/power/powercap`` (microjoule). Of a Jetson's rails ``VDD_IN`` (Nano, NX) and the sum of
``VDD_GPU_SOC``, ``VDD_CPU_CV`` and ``VIN_SYS_5V0`` (AGX Orin) are what the module draws. Tried on copies of these
folders; no Jetson was at hand.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

SYSFS = Path("/sys")
PERIOD_S = 0.1
WHOLE = ("VDD_IN", "POM_5V_IN")  # rails that hold all others
WATT_PER_MICROWATT = 1e-6


class PowerMeter(Protocol):
    """A power sensor.

    Attributes
    ----------
    name : str
        Which sensor, and of what.
    """

    name: str

    def joules(self, elapsed_s: float) -> float:
        """Energy drawn in the last ``elapsed_s`` seconds."""
        ...


@dataclass
class Rails:
    """Voltage times current of one or more rails of an INA3221; folders and channels."""

    name: str
    channels: list[tuple[Path, int]]

    def joules(self, elapsed_s: float) -> float:
        """Present power, taken to have lasted."""
        milli = (_number(at / f"in{n}_input") * _number(at / f"curr{n}_input") for at, n in self.channels)
        return sum(milli) * 1e-6 * elapsed_s


@dataclass
class Sensor:
    """A hwmon sensor that gives microwatts."""

    name: str
    path: Path

    def joules(self, elapsed_s: float) -> float:
        """Present power, taken to have lasted."""
        return _number(self.path) * WATT_PER_MICROWATT * elapsed_s


class Counter:
    """A RAPL counter of microjoules, which starts at 0 again at ``range``."""

    def __init__(self, name: str, path: Path, range_uj: float) -> None:
        self.name = name
        self._path, self._range = path, range_uj
        self._last = _number(path)

    def joules(self, elapsed_s: float) -> float:
        """What was counted since the last call."""
        now = _number(self._path)
        counted = now - self._last if now >= self._last else now - self._last + self._range
        self._last = now
        return counted * 1e-6


def power_meter(sysfs: Path = SYSFS) -> PowerMeter | None:
    """The best sensor of this machine; None without a readable one."""
    for found in (_rails(sysfs), _sensor(sysfs), _counter(sysfs)):
        if found is None:
            continue
        try:
            found.joules(PERIOD_S)
        except (OSError, ValueError):
            continue  # RAPL is root's alone on many systems
        return found
    return None


class Draw:
    """Mean power while the context lasts.

    Attributes
    ----------
    watts : float or None
        Known when the context has ended; None without a meter, or when it failed.
    """

    def __init__(self, meter: PowerMeter | None) -> None:
        self._meter = meter
        self._ended = threading.Event()
        self.watts: float | None = None

    def __enter__(self) -> Draw:
        self._thread = threading.Thread(target=self._run, name="power", daemon=True)
        if self._meter is not None:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self._meter is not None:
            self._thread.join()

    def _run(self) -> None:
        assert self._meter is not None
        joules, began = 0.0, time.perf_counter()
        try:
            self._meter.joules(0.0)  # a counter starts here
            last = began
            ended = False
            while not ended:
                ended = self._ended.wait(PERIOD_S)
                now = time.perf_counter()
                joules += self._meter.joules(now - last)
                last = now
        except (OSError, ValueError):
            return
        self.watts = joules / max(last - began, 1e-9)


def _rails(sysfs: Path) -> Rails | None:
    rails: dict[str, tuple[Path, int]] = {}
    for folder in sorted(sysfs.glob("class/hwmon/hwmon*")):
        if "ina3221" not in _text(folder / "name"):
            continue
        for label in sorted(folder.glob("in*_label")):
            number = int(label.name[len("in") : -len("_label")])
            if (folder / f"curr{number}_input").exists():
                rails[_text(label)] = folder, number
    whole = [name for name in WHOLE if name in rails]
    names = whole[:1] or [name for name in rails if name.startswith(("VDD_", "VIN_"))]
    return Rails(f"INA3221 {' + '.join(names)}", [rails[name] for name in names]) if names else None


def _sensor(sysfs: Path) -> Sensor | None:
    for kind in ("power1_input", "power1_average"):
        for path in sorted(sysfs.glob(f"class/hwmon/hwmon*/{kind}")):
            return Sensor(f"{_text(path.parent / 'name')} {kind}", path)
    return None


def _counter(sysfs: Path) -> Counter | None:
    folder = sysfs / "class/powercap/intel-rapl:0"
    try:
        return Counter(f"RAPL {_text(folder / 'name')}", folder / "energy_uj", _number(folder / "max_energy_range_uj"))
    except (OSError, ValueError):
        return None


def _number(path: Path) -> float:
    return float(path.read_text())


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
