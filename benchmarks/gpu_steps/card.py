"""The GPU: name, driver, memory, and the throughput of a large bfloat16 matrix product."""

from __future__ import annotations

import platform
import subprocess
from typing import Any

import torch

from benchmarks.gpu_steps.clock import per_second
from benchmarks.gpu_steps.plan import Settings
from benchmarks.gpu_steps.result import Report

# TFLOP/s of dense bf16 according to the data sheets of the SXM form factor; other form factors have less.
DATA_SHEETS = {"H200": 989.0, "H100": 989.0, "A100": 312.0}
SIDE = {"cuda": 8192, "cpu": 1024}  # large enough to saturate a GPU


def device_of(settings: Settings) -> torch.device:
    """The requested device.

    Raises
    ------
    RuntimeError
        torch finds no such device.
    """
    if settings.device == "cuda" and not torch.cuda.is_available():
        raise RuntimeError(f"torch {torch.__version__} finds no CUDA device; choose --device cpu")
    return torch.device(settings.device)


def synchronise(device: torch.device) -> None:
    """Wait for the work queued on a GPU."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def bf16_peak(device: torch.device, side: int | None = None) -> float:
    """TFLOP/s of a product of square random bfloat16 matrices (zeros would give a rate that real data does not reach).

    Parameters
    ----------
    side : rows and columns; None for the default of the device
    """
    side = side or SIDE[device.type]
    one, other = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))
    products = per_second(lambda: one @ other, 1, 0.5, lambda: synchronise(device))
    return 2.0 * side**3 * products / 1e12


def data_sheet_peak(device: torch.device) -> float:
    """TFLOP/s according to the data sheet, 0 if unknown."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
    return next((peak for card, peak in DATA_SHEETS.items() if card in name), 0.0)


def shares(tflop_per_s: float, peak: float, device: torch.device) -> dict[str, float]:
    """Figures of a row: the rate, its share of the measured peak, and of the data sheet's if known."""
    sheet = data_sheet_peak(device)
    told = {"tflop_per_s": tflop_per_s, "of_peak": tflop_per_s / peak}
    return {**told, "of_data_sheet": tflop_per_s / sheet} if sheet else told


def run(settings: Settings, report: Report) -> None:
    """Identify the GPU and measure its peak."""
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
    """Name of the GPU, or of the CPU as the kernel reports it."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    from edgeapp.board.machine import cpu_name

    return cpu_name()


def versions(device: torch.device) -> dict[str, Any]:
    """Versions and properties that affect speed."""
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
    """Driver version reported by nvidia-smi."""
    try:
        asked = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        told = subprocess.run(asked, capture_output=True, text=True, timeout=20, check=True).stdout.split()
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return told[0] if told else "unknown"
