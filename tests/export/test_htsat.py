"""HTS-AT written out is the tower it is made of, and runs as the operators it is written for."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from edgeapp.audio.file import FileSource, decode
from edgeapp.audio.windows import fill
from edgeapp.paths import EXAMPLE
from export.graphs import single_front
from export.htsat import HtsAt, bicubic, rewritten, stretches
from export.integers import to_integers
from export.lowerings import LOWERINGS
from export.nodes import Nodes
from export.sessions import session, vectors
from tests.export.optimised import optimised
from tests.export.published.made import Made
from tests.libraries import needs
from tests.trainer import published
from trainer import checkpoint
from trainer.models.biovita import CLAP_MEL
from trainer.models.clap import ClapTower, audio_fields
from trainer.models.vita import SoundTower

pytestmark = needs("transformers", "open_clip")

SAMPLES = 480_000  # 10 s at 48 kHz
SINGLE = dataclasses.replace(CLAP_MEL, double=False)
NARROW = published.AUDIO | {"projection_dim": published.PROJECTED}
SMALL = {"spec_size": 128, "depths": [2, 3], "hidden_size": 32, "num_attention_heads": [1, 2]}
DEPTHS = tuple(published.AUDIO["depths"])  # of the graph that is looked into; the second of two is shifted


def tower_of(mel: Any = SINGLE, **fields: Any) -> ClapTower:
    """A narrow HTS-AT."""
    return published.stirred(ClapTower(audio_fields(NARROW | fields, "test"), mel, published.DIM), seed=0)


def sounds(samples: int = SAMPLES) -> Tensor:
    """A recording, noise and a tone in it: [3, samples]."""
    recording = decode(FileSource(EXAMPLE), 48_000)[:samples]
    noise = 0.05 * torch.randn(2, samples, generator=torch.Generator().manual_seed(0))
    noise[1] += 0.3 * torch.sin(torch.arange(samples) ** 2 * 1e-6)
    return torch.cat([torch.from_numpy(fill(recording, samples)).float()[None], noise])


def apart(one: Tensor | np.ndarray, other: Tensor | np.ndarray) -> float:
    """The largest cosine distance of vectors [n, dim]; rounding alone makes 1e-13."""
    one, other = (torch.as_tensor(vector).double() for vector in (one, other))
    return float((1.0 - F.cosine_similarity(one, other)).max())


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({}, id="narrow"),
        pytest.param({"depths": [3, 1, 2, 3]}, id="odd-depths"),
        pytest.param({"window_size": 4, "depths": [2, 2, 1, 2]}, id="shifted-to-the-last-stage"),
        pytest.param({"window_size": 8, "depths": [1, 1, 1, 4]}, id="a-stage-of-one-window"),
        pytest.param(
            {"patch_size": 8, "patch_stride": 8, "window_size": 4, "depths": [2, 2, 2, 2]}, id="large-patches"
        ),
        pytest.param({"qkv_bias": False, "hidden_act": "relu"}, id="no-biases-and-relu"),
        pytest.param({"enable_patch_layer_norm": False, "mlp_ratio": 2.0}, id="no-norm-of-patches"),
    ],
)
def test_it_gives_the_towers_vectors(fields: dict[str, Any]) -> None:
    same_as(tower_of(**fields), sounds())


def same_as(tower: ClapTower, given: Tensor) -> None:
    made = rewritten(tower, given.shape[1])
    assert isinstance(made, HtsAt)
    with torch.no_grad():
        wanted = tower(given)
        assert apart(wanted, made(given)) < 1e-9
        assert apart(wanted[:1], made(given[:1])) < 1e-9
        assert apart(wanted[[0, 1]], wanted[[1, 2]]) > 1e-3  # it does tell them apart


@pytest.mark.parametrize(
    ("mel", "samples"),
    [
        pytest.param({"hop": 1920}, SAMPLES, id="251-frames-of-256"),
        pytest.param({"hop": 1920}, 255 * 1920, id="as-many-frames-as-there-is-room-for"),
        pytest.param({"hop": 1920}, 100 * 1920 + 7, id="101-frames-of-256"),
        pytest.param({"hop": 1920, "n_mels": 60}, 255 * 1920, id="60-bands-of-64"),
    ],
)
def test_spectrograms_of_other_sizes_are_filled_up_as_the_library_does(mel: dict[str, int], samples: int) -> None:
    config = dataclasses.replace(SINGLE, **mel)
    same_as(tower_of(config, **SMALL | {"num_mel_bins": config.n_mels}), sounds(samples))


@pytest.mark.parametrize("sizes", [(1001, 1024), (5, 64), (63, 64), (64, 64), (1000, 1042)])
def test_interpolation_is_bicubic(sizes: tuple[int, int]) -> None:
    before, after = sizes
    signal = torch.randn(3, before, generator=torch.Generator().manual_seed(1))
    taken, kernels = stretches(bicubic(before, after))
    given = torch.einsum("srk,nsk->nsr", kernels, signal[:, taken].reshape(3, len(kernels), -1)).reshape(3, after)
    wanted = F.interpolate(signal[None, None], (3, after), mode="bicubic", align_corners=True)[0, 0]
    assert torch.allclose(given, wanted, atol=1e-5)


@pytest.mark.parametrize(
    ("fields", "samples"),
    [
        pytest.param({"window_size": 6}, SAMPLES, id="padded-windows"),
        pytest.param({"enable_fusion": True}, SAMPLES, id="fused"),
        pytest.param({"patch_size": 8}, SAMPLES, id="patches-that-overlap"),
        pytest.param({"spec_size": 36, "num_mel_bins": 12, "window_size": 1}, 48_000, id="an-odd-grid"),
        pytest.param({}, 2 * SAMPLES, id="too-many-frames"),
    ],
)
def test_what_it_does_not_know_is_left_to_the_library(fields: dict[str, Any], samples: int) -> None:
    from transformers import ClapAudioConfig

    config = ClapAudioConfig(**NARROW | fields).to_dict()
    tower = ClapTower({name: config[name] for name in {**NARROW, **fields}}, SINGLE, published.DIM)
    assert rewritten(tower, samples) is tower


def test_other_towers_are_left_alone() -> None:
    tower = SoundTower()
    assert LOWERINGS["mobilenet"].rewrite(tower, SAMPLES) is tower


@pytest.fixture(scope="module")
def tower(made: Made) -> SoundTower:
    """The tower of a small pack in the published layout, with the front end that is exported."""
    return single_front(checkpoint.load(made.folder / "steps" / "checkpoint").model.audio).eval()


@pytest.fixture(scope="module")
def graph(made: Made) -> onnx.ModelProto:
    """As it is exported."""
    return onnx.load(str(made.graph("audio")))


@pytest.fixture(scope="module")
def in_int8(graph: onnx.ModelProto) -> onnx.ModelProto:
    twin = onnx.ModelProto()
    twin.CopyFrom(graph)
    return to_integers(twin, sounds().numpy(), lambda wanted, given: "").model


@pytest.mark.parametrize("count", [1, 3])
def test_the_graph_gives_the_towers_vectors_for_any_number_of_windows(
    tower: SoundTower, graph: onnx.ModelProto, count: int
) -> None:
    given = sounds()[:count]
    with torch.no_grad():
        wanted = tower(given)
    (vectors_of_graph,) = session(graph).run(None, {"waveform": given.numpy()})
    assert apart(wanted, vectors_of_graph) < 1e-9


def test_the_graph_has_no_more_nodes_than_the_network_needs(graph: onnx.ModelProto) -> None:
    kinds = Counter(node.op_type for node in graph.graph.node)
    blocks, stages = sum(DEPTHS), len(DEPTHS)
    assert not kinds.keys() & {"Resize", "Pow", "Where", "ScatterND", "Einsum", "BatchNormalization", "Expand"} - {
        "Expand"
    }
    assert kinds["LayerNormalization"] == 2 * blocks + (stages - 1) + 2  # of blocks, mergings, patches and the end
    assert kinds["Softmax"] == blocks and kinds["Erf"] == blocks
    assert kinds["Pad"] == 1  # the front end's: windows need none


def test_one_layer_projects_to_queries_keys_and_values(graph: onnx.ModelProto) -> None:
    nodes, sizes = Nodes(graph.graph), []
    for name in nodes.layers():
        node = next(node for node in graph.graph.node if node.name == name)
        sizes.append(tuple(nodes.array(node.input[1]).shape))
    widths = [16 * 2**stage for stage, depth in enumerate(DEPTHS) for _ in range(depth)]
    assert [size for size in sizes if size[1] == 3 * size[0]] == [(width, 3 * width) for width in widths]
    assert len(sizes) == 4 * len(widths) + (len(DEPTHS) - 1) + 4  # and of mergings, patches, projection and adapter


def test_onnx_runtime_knows_its_products_and_activations(graph: onnx.ModelProto, tmp_path: Path) -> None:
    kinds = Counter(node.op_type for node in optimised(graph, tmp_path).node)
    blocks = sum(DEPTHS)
    assert kinds["Erf"] == 0 and kinds["Gelu"] + kinds["BiasGelu"] == blocks
    assert kinds["FusedMatMul"] == 2 * blocks  # queries, keys and values are taken as they lie
    assert kinds["Gather"] <= blocks + (len(DEPTHS) - 1) + 1  # a move to each block, and what is interpolated


def test_in_int8_every_layer_runs_in_int8(in_int8: onnx.ModelProto, tmp_path: Path) -> None:
    kinds = Counter(node.op_type for node in optimised(in_int8, tmp_path).node)
    layers = 4 * sum(DEPTHS) + (len(DEPTHS) - 1) + 4
    assert kinds["MatMulIntegerToFloat"] + kinds["QGemm"] + kinds["QLinearMatMul"] == layers
    assert kinds["DequantizeLinear"] == 0 and kinds["QuantizeLinear"] == layers
    assert kinds["Erf"] == 0 and kinds["Gelu"] + kinds["BiasGelu"] == sum(DEPTHS)


def test_in_int8_the_vectors_are_near(graph: onnx.ModelProto, in_int8: onnx.ModelProto) -> None:
    given = sounds().numpy()
    assert apart(vectors(graph, given), vectors(in_int8, given)) < 0.02
