"""The NVIDIA GPU of this device through the driver's own library: what it is, memory, and copies.

Only ``libcuda.so.1`` is asked, by ctypes. It comes with every NVIDIA driver, JetPack's too, so that running an engine
needs neither the CUDA toolkit nor a Python package of CUDA. TensorRT uses the device's primary context, as this does.

The calls were written against the driver API's reference and run against an in-memory twin; no GPU was at hand.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgeapp.errors import DeviceError, EngineError

LIBRARY = "libcuda.so.1"
CAPABILITY_MAJOR, CAPABILITY_MINOR = 75, 76  # CUdevice_attribute
REMEDY = "install its driver, or run with --provider cpu"

# Where the kernel driver tells its version: desktops and JetPack 6, then older JetPacks.
DRIVER_VERSIONS = (Path("/sys/module/nvidia/version"), Path("/etc/nv_tegra_release"))


@dataclass(frozen=True)
class GpuIdentity:
    """What an engine is built for: name, compute capability such as ``8.7``, driver."""

    name: str
    compute: str
    driver: str

    @property
    def text(self) -> str:
        """GPU and driver in words."""
        return f"{self.name}, driver {self.driver}"


class Gpu:
    """The first GPU, its primary context held.

    Parameters
    ----------
    library : object or None
        Has the driver's functions; ``libcuda.so.1`` when None.

    Raises
    ------
    DeviceError
        There is no driver or no GPU.
    """

    def __init__(self, library: Any = None) -> None:
        self._cuda = library if library is not None else load_driver()
        code = self._cuda.cuInit(0)
        if code:
            raise DeviceError(f"no NVIDIA GPU responds ({self._told(code)})", REMEDY)
        count, device, context = ctypes.c_int(), ctypes.c_int(), ctypes.c_void_p()
        self._do("cuDeviceGetCount", ctypes.byref(count))
        if count.value < 1:
            raise DeviceError("this machine has no NVIDIA GPU", "run with --provider cpu")
        self._do("cuDeviceGet", ctypes.byref(device), 0)
        self._do("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
        self._context = context
        self.identity = self._identify(device)
        self.make_current()

    def _identify(self, device: ctypes.c_int) -> GpuIdentity:
        name, numbers, cuda = ctypes.create_string_buffer(256), [], ctypes.c_int()
        self._do("cuDeviceGetName", name, len(name), device)
        for attribute in (CAPABILITY_MAJOR, CAPABILITY_MINOR):
            number = ctypes.c_int()
            self._do("cuDeviceGetAttribute", ctypes.byref(number), attribute, device)
            numbers.append(str(number.value))
        self._do("cuDriverGetVersion", ctypes.byref(cuda))
        kernel = next((path.read_text().splitlines()[0].strip() for path in DRIVER_VERSIONS if path.is_file()), "")
        driver = f"{kernel} CUDA {cuda.value // 1000}.{cuda.value % 1000 // 10}".strip()
        return GpuIdentity(name.value.decode(errors="replace"), ".".join(numbers), driver)

    def make_current(self) -> None:
        """Make the context that of the calling thread, which each thread needs once."""
        self._do("cuCtxSetCurrent", self._context)

    def free_bytes(self) -> int:
        """Memory that is free now; on a Jetson it is shared with the processor."""
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        self._do("cuMemGetInfo_v2", ctypes.byref(free), ctypes.byref(total))
        return free.value

    def allocate(self, size: int) -> int:
        """Reserve ``size`` bytes; the address."""
        address = ctypes.c_uint64()
        code = self._cuda.cuMemAlloc_v2(ctypes.byref(address), ctypes.c_size_t(size))
        if code:
            raise EngineError(
                f"not enough GPU memory for {size / 1e6:.0f} MB ({self._told(code)})",
                "stop other programs that use it, or run with --provider cpu",
            )
        return address.value

    def free(self, address: int) -> None:
        """Give memory back."""
        self._do("cuMemFree_v2", ctypes.c_uint64(address))

    def copy_in(self, address: int, values: np.ndarray) -> None:
        """Copy a contiguous array to the GPU."""
        self._do("cuMemcpyHtoD_v2", ctypes.c_uint64(address), ctypes.c_void_p(values.ctypes.data), _size(values))

    def copy_out(self, values: np.ndarray, address: int) -> None:
        """Fill a contiguous array from the GPU."""
        self._do("cuMemcpyDtoH_v2", ctypes.c_void_p(values.ctypes.data), ctypes.c_uint64(address), _size(values))

    def stream(self) -> int:
        """A stream of one's own; its handle."""
        stream = ctypes.c_void_p()
        self._do("cuStreamCreate", ctypes.byref(stream), 1)  # 1: does not wait for the default stream
        return stream.value or 0

    def wait(self, stream: int) -> None:
        """Wait until a stream has done its work; errors of the work come up here."""
        self._do("cuStreamSynchronize", ctypes.c_void_p(stream))

    def _do(self, name: str, *arguments: Any) -> None:
        code = getattr(self._cuda, name)(*arguments)
        if code:
            raise EngineError(f"the GPU refused {name} ({self._told(code)})", "try again; if it persists, reboot")

    def _told(self, code: int) -> str:
        text = ctypes.c_char_p()
        known = self._cuda.cuGetErrorString(code, ctypes.byref(text)) == 0 and text.value
        return text.value.decode(errors="replace") if known and text.value else f"CUDA error {code}"


def gpu_count() -> int:
    """How many GPUs the driver shows to this process; 0 without a driver."""
    try:
        cuda = load_driver()
    except DeviceError:
        return 0
    count = ctypes.c_int()
    if cuda.cuInit(0) or cuda.cuDeviceGetCount(ctypes.byref(count)):
        return 0
    return count.value


def load_driver() -> Any:
    """The driver's library.

    Raises
    ------
    DeviceError
        There is none.
    """
    try:
        return ctypes.CDLL(LIBRARY)
    except OSError:
        raise DeviceError(f"no NVIDIA driver found ({LIBRARY})", REMEDY) from None


def _size(values: np.ndarray) -> ctypes.c_size_t:
    if not values.flags.c_contiguous:
        raise ValueError("only a contiguous array can be copied")
    return ctypes.c_size_t(values.nbytes)
