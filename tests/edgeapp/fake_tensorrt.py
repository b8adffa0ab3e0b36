"""In-memory twins of the NVIDIA driver and of TensorRT: memory is the processor's, engines run on ONNX Runtime.

They take the calls that the real ones take, at the same addresses and sizes, so that what is copied where, in which
batches and of which type is tested; that a GPU agrees is not.
"""

from __future__ import annotations

import ctypes
from enum import IntEnum
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

OK, OUT_OF_MEMORY, NO_DEVICE = 0, 2, 100
ERRORS = {OUT_OF_MEMORY: b"out of memory", NO_DEVICE: b"no CUDA-capable device is detected"}
PLAN = b"plan of "
TYPES = {"tensor(float)": ("FLOAT", np.float32), "tensor(int64)": ("INT64", np.int64)}


class FakeDriver:
    """``libcuda``: every address it gives is one of the processor's."""

    def __init__(self, name: str = "Orin", compute: str = "8.7", cuda: int = 12060, memory: int = 1 << 30) -> None:
        self.name, self.compute, self.cuda, self.memory = name, compute, cuda, memory
        self.init = OK
        self.held: dict[int, Any] = {}

    def inside(self, address: int, size: int) -> bool:
        """Whether a copy stays in memory that was given out."""
        return any(at <= address and address + size <= at + len(buffer) for at, buffer in self.held.items())

    def cuInit(self, flags):
        return self.init

    def cuGetErrorString(self, code, text):
        text._obj.value = ERRORS.get(code)
        return OK if code in ERRORS else 1

    def cuDeviceGetCount(self, count):
        count._obj.value = 1
        return OK

    def cuDeviceGet(self, device, ordinal):
        return OK

    def cuDevicePrimaryCtxRetain(self, context, device):
        context._obj.value = 1
        return OK

    def cuCtxSetCurrent(self, context):
        return OK

    def cuDeviceGetName(self, name, size, device):
        name.value = self.name.encode()
        return OK

    def cuDeviceGetAttribute(self, number, attribute, device):
        number._obj.value = int(self.compute.split(".")[attribute - 75])
        return OK

    def cuDriverGetVersion(self, version):
        version._obj.value = self.cuda
        return OK

    def cuMemGetInfo_v2(self, free, total):
        free._obj.value = total._obj.value = self.memory
        return OK

    def cuMemAlloc_v2(self, address, size):
        if size.value > self.memory:
            return OUT_OF_MEMORY
        self.memory -= size.value
        buffer = ctypes.create_string_buffer(size.value)
        address._obj.value = ctypes.addressof(buffer)
        self.held[address._obj.value] = buffer
        return OK

    def cuMemFree_v2(self, address):
        self.memory += len(self.held.pop(address.value))
        return OK

    def cuMemcpyHtoD_v2(self, to, values, size):
        assert self.inside(to.value, size.value)
        ctypes.memmove(to.value, values.value, size.value)
        return OK

    def cuMemcpyDtoH_v2(self, values, at, size):
        assert self.inside(at.value, size.value)
        ctypes.memmove(values.value, at.value, size.value)
        return OK

    def cuStreamCreate(self, stream, flags):
        stream._obj.value = 7
        return OK

    def cuStreamSynchronize(self, stream):
        assert stream.value == 7
        return OK


class _Base:
    def __init__(self) -> None:
        pass


class FakeTensorRT:
    """``tensorrt`` 10: the module's interface as far as it is used; ``spoil`` changes what its engines give."""

    __version__ = "10.3.0"
    IProgressMonitor = _Base
    MemoryPoolType = SimpleNamespace(WORKSPACE=0)
    NetworkDefinitionCreationFlag = IntEnum("NetworkDefinitionCreationFlag", {"STRONGLY_TYPED": 1})
    BuilderFlag = IntEnum("BuilderFlag", {"FP16": 0, "TF32": 7})

    class ILogger(_Base):
        Severity = IntEnum("Severity", {"INTERNAL_ERROR": 0, "ERROR": 1, "WARNING": 2})

    def __init__(self) -> None:
        self.spoil = lambda vectors: vectors
        self.built: list[SimpleNamespace] = []
        self.batches: list[int] = []

    def Builder(self, log):
        return SimpleNamespace(
            create_network=lambda flags: SimpleNamespace(flags=flags, path=""),
            create_builder_config=_Config,
            create_optimization_profile=_Profile,
            build_serialized_network=self._build,
        )

    def OnnxParser(self, network, log):
        return SimpleNamespace(parse_from_file=lambda path: setattr(network, "path", path) or True)

    def Runtime(self, log):
        return SimpleNamespace(deserialize_cuda_engine=lambda plan: self._engine(bytes(plan), log))

    def _build(self, network, config):
        self.built.append(SimpleNamespace(network=network, config=config))
        return PLAN + str(Path(network.path)).encode()

    def _engine(self, plan, log):
        if not plan.startswith(PLAN):
            log.log(self.ILogger.Severity.ERROR, "Serialization assertion\nfailed")
            return None
        return _Engine(plan[len(PLAN) :].decode(), self)


class _Config:
    def __init__(self) -> None:
        self.flags: set[int] = {FakeTensorRT.BuilderFlag.TF32}
        self.profiles: list[_Profile] = []
        self.workspace = 0

    def set_memory_pool_limit(self, pool, size):
        self.workspace = size

    def set_flag(self, flag):
        self.flags.add(flag)

    def clear_flag(self, flag):
        self.flags.discard(flag)

    def add_optimization_profile(self, profile):
        self.profiles.append(profile)
        return len(self.profiles) - 1


class _Profile:
    def set_shape(self, name, smallest, usual, largest):
        self.name, self.shapes = name, (smallest, usual, largest)


class _Engine:
    def __init__(self, path: str, trt: FakeTensorRT) -> None:
        import onnxruntime

        self.session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        self.trt = trt
        self.given = {one.name: one for one in self.session.get_inputs()}
        self.gives = {one.name: one for one in self.session.get_outputs()}

    def get_tensor_dtype(self, name):
        return SimpleNamespace(name=TYPES[{**self.given, **self.gives}[name].type][0])

    def create_execution_context(self):
        return _Context(self)


class _Context:
    def __init__(self, engine: _Engine) -> None:
        self.engine, self.addresses, self.shape = engine, {}, ()

    def set_tensor_address(self, name, address):
        self.addresses[name] = address

    def set_input_shape(self, name, shape):
        self.shape = shape
        return True

    def execute_async_v3(self, stream):
        (given,), (gives,) = self.engine.given, self.engine.gives
        kind = TYPES[self.engine.given[given].type][1]
        size = int(np.prod(self.shape)) * np.dtype(kind).itemsize
        values = np.frombuffer(ctypes.string_at(self.addresses[given], size), kind).reshape(self.shape)
        self.engine.trt.batches.append(len(values))
        vectors = self.engine.trt.spoil(self.engine.session.run([gives], {given: values})[0])
        raw = np.ascontiguousarray(vectors, np.float32).tobytes()
        ctypes.memmove(self.addresses[gives], raw, len(raw))
        return True
