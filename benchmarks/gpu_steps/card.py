"""The card: its name, driver and memory, and what a large product of bfloat16 matrices reaches on it."""

from __future__ import annotations

import platform
import subprocess
from typing import Any

import torch

from benchmarks.gpu_steps.clock import per_second
from benchmarks.gpu_steps.plan import Settings
from benchmarks.gpu_steps.result import Report

# TFLOP/s of dense bf16, by the maker's data sheets of the SXM cards; a card of another form has less.
DATA_SHEETS = {"H200": 989.0, "H100": 989.0, "A100": 312.0}
SIDE = {"cuda": 8192, "cpu": 1024}  # large enough that a card is busy with nothing but the product


def device_of(settings: Settings) -> torch.device:
    """The device that was asked for.

    Raises
    ------
    RuntimeError
        torch has no such device here.
    """
    if settings.device == "cuda" and not torch.cuda.is_available():
        raise RuntimeError(f"torch {torch.__version__} finds no CUDA device; choose --device cpu")
    return torch.device(settings.device)


def synchronise(device: torch.device) -> None:
    """Wait until a card has done its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def bf16_peak(device: torch.device, side: int | None = None) -> float:
    """TFLOP/s of a product of square bfloat16 matrices of random numbers; with zeros a card is faster than it is.

    Parameters
    ----------
    side : rows and columns; by the device when None
    """
    side = side or SIDE[device.type]
    one, other = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))
    products = per_second(lambda: one @ other, 1, 0.5, lambda: synchronise(device))
    return 2.0 * side**3 * products / 1e12


def data_sheet_peak(device: torch.device) -> float:
    """TFLOP/s that the data sheet has, 0 where none is known."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
    return next((peak for card, peak in DATA_SHEETS.items() if card in name), 0.0)


def shares(tflop_per_s: float, peak: float, device: torch.device) -> dict[str, float]:
    """Figures of a row: the rate, its share of the measured peak, and of the data sheet's where one is known."""
    sheet = data_sheet_peak(device)
    told = {"tflop_per_s": tflop_per_s, "of_peak": tflop_per_s / peak}
    return {**told, "of_data_sheet": tflop_per_s / sheet} if sheet else told


def run(settings: Settings, report: Report) -> None:
    """Name the card and measure its peak."""
    with report.measuring("name") as figures:
        device = device_of(settings)
        figures["seen"] = name_of(device)
        figures |= versions(device)
    with report.measuring("product of bf16 matrices") as figures:
        side = 256 if settings.tiny else SIDE[settings.device]
        figures["seen"] = f"{side} x {side}"
        peak = bf16_peak(device_of(settings), side)
        figures["tflop_per_s"] = peak
        if sheet := data_sheet_peak(torch.device(settings.device)):
            figures["of_data_sheet"] = peak / sheet


def name_of(device: torch.device) -> str:
    """What the card is called; of a processor what the kernel calls it."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    from edgeapp.board.machine import cpu_name

    return cpu_name()


def versions(device: torch.device) -> dict[str, Any]:
    """What changes a speed."""
    told: dict[str, Any] = {"torch": torch.__version__, "Python": platform.python_version()}
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        told |= {
            "compute_capability": f"{properties.major}.{properties.minor}",
            "memory_GB": round(properties.total_memory / 1e9, 1),
            "CUDA": torch.version.cuda,
            "driver": driver(),
        }
    return told


def driver() -> str:
    """The driver's version, as nvidia-smi tells it."""
    try:
        asked = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        told = subprocess.run(asked, capture_output=True, text=True, timeout=20, check=True).stdout.split()
    except (OSError, subprocess.SubprocessError):
        return "not told"
    return told[0] if told else "not told"
