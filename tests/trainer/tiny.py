"""A data set small enough to train on in a test, and random weights in the layout of the published ones.

| species | tone | photo | recordings | photos |
|---|---|---|---|---|
| Bufo bufo | 500 Hz | - | 5 of 5 sources | - |
| Cuculus canorus | 3 kHz | green | 5 of 5 sources | 4 |
| Parus major | 1 kHz | red | 6 of 5 sources | 4 |
| Parus minor | 2 kHz | blue | 5 of 5 sources | 4 |
"""

from __future__ import annotations

import contextlib
import csv
import functools
import io
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from unittest import mock

import numpy as np
import onnx
import soundfile
import torch
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from torch import nn

from trainer import calibrate, heard, imported, presets, ridge
from trainer.models import efficientat, mobilenet
from trainer.models.efficientat import FEATURES, MobileNetAudio
from trainer.models.mobilenet import MobileNetImage, SameConv
from trainer.models.photo import PhotoConfig
from trainer.models.starter import StarterTowers
from trainer.models.text import TextConfig

RATE_HZ = 16_000
WINDOW_S, IMAGE_SIZE = 2.0, 96  # what the starter hears and sees at once, see `small`
BLOCKS, STAGES = efficientat.BLOCKS, mobilenet.STAGES  # of the published trunks
# A block of each kind, narrower where nothing depends on it: exporters and optimisers take their time by the layer. The
# sound trunk ends with as many features as the published one, of which projections are made.
FEWER_BLOCKS = (
    *(BLOCKS[n] for n in (0, 1, 2, 3, 6)),
    BLOCKS[12]._replace(in_channels=80, expanded=240),
    BLOCKS[13]._replace(expanded=320),
)
FEWER_STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 1, 2), (6, 64, 1, 2), (6, 96, 1, 2))
IMAGE_FROZEN, PHOTO_FROZEN = 4, 6  # of eight layers: by the starter, by the trunk's tower of photos
TONES_HZ = {"Bufo bufo": 500, "Cuculus canorus": 3000, "Parus major": 1000, "Parus minor": 2000}
COLOURS = {"Cuculus canorus": (0, 160, 0), "Parus major": (200, 0, 0), "Parus minor": (0, 0, 220)}
SPECIES = tuple(TONES_HZ)
EPOCHS = 3  # of each stage of the finished run
FORMATS = ("wav", "flac", "ogg", "mp3")
TABLE = """\
scientific_name,common_name,kingdom,phylum,class,order,family,genus,synonyms
Parus major,Great Tit,Animalia,Chordata,Aves,Passeriformes,Paridae,Parus,Parus robustus
Parus minor,Japanese Tit,Animalia,Chordata,Aves,Passeriformes,Paridae,Parus,
Cuculus canorus,Common Cuckoo,Animalia,Chordata,Aves,Cuculiformes,Cuculidae,Cuculus,
Bufo bufo,Common Toad,Animalia,Chordata,Amphibia,Anura,Bufonidae,Bufo,
"""
COLUMNS = ("modality", "path", "scientific_name", "source_repo", "source_id", "author", "licence", "note")


@dataclass(frozen=True)
class Tiny:
    """Where the data set and the weights lie."""

    manifest: Path
    taxa: Path
    pretrained: Path

    def words(self, manifest: Path | None = None) -> list[str]:
        """What the command line needs to train on it, on one core; with another manifest in place of its own."""
        return [*self.data_words(manifest), "--pretrained", str(self.pretrained), "--threads", "1"]

    def data_words(self, manifest: Path | None = None) -> list[str]:
        return ["--data", str(manifest or self.manifest), "--taxa", str(self.taxa)]


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    def lines(self) -> list[str]:
        """What it said on standard error."""
        return self.err.splitlines()


def call(main: Callable[[], object], *words: object) -> Ended:
    """Run a command line in this process."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    with (
        mock.patch.object(sys, "argv", ["command", *map(str, words)]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    return Ended(code, out.getvalue(), err.getvalue())


def tone(frequency_hz: float, seconds: float = WINDOW_S, rate_hz: int = RATE_HZ, seed: int = 0) -> np.ndarray:
    """A tone in a little noise."""
    t = np.arange(round(seconds * rate_hz)) / rate_hz
    noise = np.random.default_rng(seed).standard_normal(len(t))
    return (0.2 * np.sin(2 * np.pi * frequency_hz * t) + 0.01 * noise).astype(np.float32)


def rows(folder: Path) -> Iterator[dict[str, str]]:
    """Write the files of the data set; the rows of its manifest."""
    for species, frequency_hz in TONES_HZ.items():
        name = species.replace(" ", "_")
        for piece in range(6 if species == "Parus major" else 5):
            source = min(piece, 4)  # the sixth is another piece of the fifth
            path = folder / f"{name}_{piece}.{FORMATS[piece % len(FORMATS)]}"
            soundfile.write(path, tone(frequency_hz * (1 + 0.01 * piece), seed=piece), RATE_HZ)
            yield row("audio", path, species, f"sound {name} {source}")
        for piece in range(4 if species in COLOURS else 0):
            path = folder / f"{name}_{piece}.png"
            shade = np.random.default_rng(piece).integers(-30, 30, (64, 80, 3)) + np.array(COLOURS[species])
            Image.fromarray(shade.clip(0, 255).astype(np.uint8)).save(path)
            yield row("image", path, species, f"photo {name} {piece}")


def row(modality: str, path: Path, species: str, source: str) -> dict[str, str]:
    values = (modality, path.name, species, "tests", source, "A. Author", "CC0-1.0", "")
    return dict(zip(COLUMNS, values))


def write_manifest(path: Path, lines: list[dict[str, str]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="")
        writer.writeheader()
        writer.writerows(lines)
    return path


def make(folder: Path) -> Tiny:
    """Write data set, species table and weights."""
    tiny = at(folder)
    folder.mkdir(parents=True)
    write_manifest(tiny.manifest, list(rows(folder)))
    tiny.taxa.write_text(TABLE, encoding="utf-8")
    tiny.pretrained.mkdir()
    torch.manual_seed(0)
    save_audio_weights(tiny.pretrained / "efficientat_mn04_as.pt")
    save_image_weights(tiny.pretrained / "inat_bird_mobilenetv2.onnx")
    return tiny


def keep_variance(network: nn.Module) -> nn.Module:
    """Random weights through which signals neither die nor explode."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
            if module.bias is not None:
                nn.init.normal_(module.bias, std=0.01)
    return network


def audioset_head() -> nn.Sequential:
    """The AudioSet tagger that the published file holds beside the trunk: pooled features [n, 96] to 527 classes."""
    return nn.Sequential(nn.Linear(FEATURES, 512), nn.Hardswish(), nn.Linear(512, 527))


def save_audio_weights(path: Path) -> None:
    trunk, head = keep_variance(MobileNetAudio()), audioset_head()
    classifier = {
        f"classifier.{int(name[0]) + 2 if name[0] == '0' else 5}{name[1:]}": t for name, t in head.state_dict().items()
    }
    torch.save({**trunk.state_dict(), **classifier}, path)


def save_image_weights(path: Path) -> None:
    trunk = keep_variance(MobileNetImage())
    weights = []
    for number, module in enumerate(m for m in trunk.modules() if isinstance(m, SameConv)):
        for letter, tensor in (("w", module.weight), ("b", module.bias)):
            assert tensor is not None
            weights.append(numpy_helper.from_array(tensor.detach().numpy(), f"{letter}{number}"))
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, 224, 224])
    out = helper.make_tensor_value_info("same", TensorProto.FLOAT, ["n", 3, 224, 224])
    graph = helper.make_graph([helper.make_node("Identity", ["image"], ["same"])], "weights", [image], [out], weights)
    onnx.save(helper.make_model(graph), str(path))


def at(folder: Path) -> Tiny:
    """The data set that was made in a folder."""
    return Tiny(folder / "manifest.csv", folder / "taxa.csv", folder / "pretrained")


@contextlib.contextmanager
def small() -> Iterator[None]:
    """The starter with fewer layers, windows as long as the recordings here and small pictures, calibrated on little.

    How it trains does not depend on their sizes, and what is fitted on tones need not be exact.
    """
    towers = StarterTowers(text=TextConfig(layers=1), image_size=IMAGE_SIZE, image_frozen=IMAGE_FROZEN)
    starter = replace(presets.STARTER, window_s=WINDOW_S, towers=towers)
    photo = PhotoConfig(size=IMAGE_SIZE, frozen=PHOTO_FROZEN)
    trunk = replace(presets.TRUNK, towers=replace(presets.TRUNK.towers, photo=photo))
    with (
        layers(FEWER_BLOCKS, FEWER_STAGES),
        mock.patch.dict(presets.PRESETS, starter=starter, trunk=trunk),
        mock.patch.object(calibrate, "MIXTURES", 8),
        mock.patch.object(heard, "NOISE_WINDOWS", 4),
        mock.patch.object(ridge, "VIEWS", 2),
    ):
        yield


@contextlib.contextmanager
def operators_read_once() -> Iterator[None]:
    """What operators become in ONNX, which torch finds out anew for each graph, found out for the first one alone."""
    try:
        from torch.onnx._internal.exporter._registration import ONNXRegistry

        found = functools.cache(ONNXRegistry.from_torchlib)
    except (ImportError, AttributeError):  # no part of what torch promises: without it, exports only take longer
        yield
        return
    with mock.patch.object(ONNXRegistry, "from_torchlib", staticmethod(found)):
        yield


@contextlib.contextmanager
def short() -> Iterator[None]:
    """The full size with windows as long as the recordings here."""
    biovita = replace(presets.BIOVITA, window_s=WINDOW_S)
    with mock.patch.dict(presets.PRESETS, biovita=biovita), mock.patch.object(imported, "BIOVITA", biovita):
        yield


@contextlib.contextmanager
def layers(
    blocks: tuple[efficientat.Block, ...] = BLOCKS, stages: tuple[tuple[int, ...], ...] = STAGES
) -> Iterator[None]:
    """The trunks with some of their layers, or with all that the published weights have."""
    with mock.patch.object(efficientat, "BLOCKS", blocks), mock.patch.object(mobilenet, "STAGES", stages):
        yield


def train(out: Path, tiny: Tiny) -> None:
    """All three stages."""
    from trainer.__main__ import main

    for stage in ("base", "1", "2"):
        ended = call(main, "--stage", stage, "--epochs", EPOCHS, "--out", out, *tiny.words())
        assert ended.code == 0, ended.err


if __name__ == "__main__":  # the trainer in a process of its own
    from trainer.__main__ import main as trainer_main

    with small(), short():
        trainer_main()
