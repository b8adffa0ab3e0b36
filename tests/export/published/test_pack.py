"""Weights in the published layout to a pack that hears what their authors' code hears, in one command."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch.nn import functional as F
from typer.testing import CliRunner

from edgeapp.audio.file import FileSource
from edgeapp.cli import app
from edgeapp.pack.format import UNCALIBRATED, Pack
from edgeapp.recognition.recogniser import Recogniser
from export.cli import main
from gallery.prompts import prompts
from gallery.store import Gallery
from tests.export.published.made import Made
from tests.libraries import needs
from tests.trainer import published
from tests.trainer.tiny import SPECIES, Tiny, call

pytestmark = needs("transformers", "open_clip")

Official = Callable[[Path], np.ndarray]
GRAPHS = ("audio.onnx", "text.onnx", "image.onnx")


def test_one_command_makes_a_pack_that_identifies(made: Made, tiny: Tiny) -> None:
    assert made.ended.code == 0, made.ended.err
    pack = Pack.load(made.pack)
    assert (pack.name, pack.version, pack.licence, pack.preset) == ("biovita", "1", "MIT", "biovita")
    with Gallery.open(pack.gallery_path(), identity=pack.identity) as gallery:
        info = gallery.info()
    assert info["taxa"] == len(SPECIES) and pack.parity["audio"]["least"] > 0.9999
    told = CliRunner().invoke(
        app, ["identify", str(tiny.manifest.parent / "Parus_major_0.wav"), "--pack", str(made.pack)]
    )
    assert told.exit_code == 0, told.output


def test_a_run_that_was_stopped_goes_on(made: Made) -> None:
    assert made.stopped.code == 2 and made.stopped.lines()[-1] == "error: stopped; go on"
    assert "export audio.onnx" in made.stopped.lines()
    kept = [f"export {name}: kept from the run before" for name in GRAPHS]
    assert {"import the weights: kept from the run before", *kept} <= set(made.ended.lines())
    assert "check the graphs in fp32" in made.ended.lines()
    assert "check the graphs in fp32: kept from the run before" not in made.ended.lines()


def test_without_recordings_parameters_are_those_of_the_logit_scale(made: Made) -> None:
    pack = Pack.load(made.pack)
    scale = float(published.small_clip(4).logit_scale.detach().exp())
    assert list(pack.decision.scale.values()) == pytest.approx([scale] * 3, abs=1e-3)
    assert not pack.calibrated and pack.metrics == {"uncalibrated": {"logit_scale": pytest.approx(scale, abs=1e-3)}}
    assert UNCALIBRATED in CliRunner().invoke(app, ["pack", "info", str(made.pack)]).stdout
    assert any("--calibrate" in line for line in made.ended.lines())


def test_with_recordings_parameters_are_fitted_as_on_the_device(made: Made) -> None:
    assert made.calibrated.code == 0, made.calibrated.err
    pack = Pack.load(made.folder / "packs" / "fitted")
    assert pack.calibrated and pack.metrics["held_out"]["recordings"] == 21
    assert pack.decision != Pack.load(made.pack).decision
    assert "uncalibrated" not in pack.metrics


def test_the_pack_says_what_it_hears_and_what_it_was_made_of(made: Made) -> None:
    audio = json.loads((made.pack / "pack.json").read_text())["audio"]
    wanted = {"pad": "zero", "start": "onset", "resampler": "sinc", "min_clip_s": 0.05, "offset": "kept"}
    assert {name: audio[name] for name in wanted} == wanted
    with (made.pack / "ATTRIBUTION.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["modality"], row["source"]) == ("weights", str(made.folder / "model"))


def test_names_are_those_of_the_published_text_tower(made: Made) -> None:
    from open_clip import get_tokenizer

    clip, pack = published.small_clip(4), Pack.load(made.pack)
    with Gallery.open(pack.gallery_path(), identity=pack.identity) as gallery:
        taxon = next(one for one in gallery.taxa() if one.scientific_name == "Parus major")
        vectors = np.array([entry.vector for entry in gallery.entries("text", "Parus major")])
    with torch.no_grad():
        texts = list(prompts(taxon).values())
        wanted = F.normalize(clip.encode_text(get_tokenizer("ViT-B-32")(texts)), dim=-1).numpy()
    assert np.abs(np.sort(vectors @ wanted.T, axis=1)[:, -1] - 1).max() < 1e-3


def test_everything_is_checked_before_hours_of_work(made: Made, tiny: Tiny, tmp_path: Path) -> None:
    words = ["published", made.folder / "model", "--taxa", tiny.taxa, "--out", tmp_path / "pack"]
    for more, says in (
        (["--calibrate", tmp_path / "absent"], "absent: no such file or folder"),
        (["--card", tmp_path / "absent.md"], "absent.md: no such file"),
        (["--data", tmp_path / "absent.csv"], "absent.csv: no such file"),
        (["--precision", "fp8"], "precision 'fp8' does not exist"),
    ):
        ended = call(main, *words, *more)
        assert ended.code != 0 and says in ended.lines()[-1]
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("")
    ended = call(main, *words, "--out", tmp_path / "other")
    assert ended.code == 2 and "other: exists and is not a pack" in ended.lines()[-1]
    (tmp_path / "file").write_text("")
    ended = call(main, *words, "--out", tmp_path / "file" / "pack")
    assert ended.code != 0 and ended.lines()[-1].startswith(f"error: {tmp_path / 'file'}")
    ended = call(main, "published", tmp_path / "nothing", "--out", tmp_path / "pack")
    assert ended.code == 3 and "no such folder" in ended.lines()[-1]
    (tmp_path / "work" / "audio").mkdir(parents=True)
    (tmp_path / "work" / "audio" / "song.wav").write_text("mine")
    ended = call(main, *words, "--work", tmp_path / "work")
    assert ended.code == 2 and "work: has other files in it" in ended.lines()[-1]
    assert (tmp_path / "work" / "audio" / "song.wav").read_text() == "mine"
    ended = call(main, *words, "--out", tmp_path / "work" / "..")
    assert ended.code == 2 and "exists and is not a pack" in ended.lines()[-1]
    assert not (tmp_path / "pack").exists() and not (tmp_path / "pack.steps").exists()


# The preprocessing of the authors' evaluation, written down again from what it does, and nothing of this project's.


def resampled(sound: torch.Tensor, from_hz: int, to_hz: int) -> torch.Tensor:
    """The default of `torchaudio.functional.resample`, as one strided convolution."""
    if from_hz == to_hz:
        return sound
    common = math.gcd(from_hz, to_hz)
    old, new = from_hz // common, to_hz // common
    base = min(old, new) * 0.99
    width = math.ceil(6 * old / base)
    at = torch.arange(-width, width + old, dtype=torch.float64)[None] / old
    t = ((at - torch.arange(new, dtype=torch.float64)[:, None] / new) * base).clamp(-6, 6)
    kernel = (torch.sinc(t) * torch.cos(t * math.pi / 12) ** 2 * base / old).float()
    padded = F.pad(sound[None, None], (width, width + old))
    made = F.conv1d(padded, kernel[:, None], stride=old).transpose(1, 2).reshape(-1)
    return made[: math.ceil(new * len(sound) / old)]


def official_clip(path: Path) -> torch.Tensor:
    """10 s at 48 kHz from 0.2 s before the first sample above 1 % of the largest, zeros behind."""
    samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    sound = resampled(torch.from_numpy(samples).mean(dim=1), rate_hz, 48_000)
    loud = (sound.abs() > float(sound.abs().max()) * 0.01).nonzero()
    start = max(0, int(loud[0]) - 9_600) if len(loud) else 0
    clip = sound[start : start + 480_000]
    return F.pad(clip, (0, 480_000 - len(clip)))


@pytest.fixture(scope="module")
def official() -> Iterator[Official]:
    """Path to the vector that the released extraction script gives, by the libraries' own classes."""
    from transformers import ClapFeatureExtractor

    clap, adapter, extractor = (
        published.small_clap(3),
        published.small_adapter(),
        ClapFeatureExtractor(truncation="rand_trunc", frequency_min=50),
    )

    @torch.no_grad()
    def vector(path: Path) -> np.ndarray:
        given = extractor(official_clip(path).numpy(), sampling_rate=48_000, return_tensors="pt", padding=True)
        features = clap.get_audio_features(input_features=given["input_features"])
        features = getattr(features, "pooler_output", features)
        return F.normalize(features @ adapter.T, dim=-1)[0].numpy()

    yield vector


@pytest.fixture(scope="module")
def recogniser(made: Made) -> Recogniser:
    return Recogniser(Pack.load(made.pack), threads=1)


def song(seconds: float, rate_hz: int, channels: int = 1) -> np.ndarray:
    """Quiet noise, then a sweep up to half the sampling rate in white noise."""
    rng, n = np.random.default_rng(round(10 * seconds) + rate_hz), round(seconds * rate_hz)
    t = np.arange(n) / rate_hz
    sweep = np.sin(2 * np.pi * (200 * t + (0.5 * rate_hz - 300) * t**2 / (2 * seconds)))
    sound = 0.3 * sweep + 0.05 * rng.standard_normal(n)
    sound[: round(0.25 * n)] = 0.001 * rng.standard_normal(round(0.25 * n))
    return np.stack([sound * (1 + channel) / 2 for channel in range(channels)], axis=1)


LENGTHS_S = (0.3, 1.4, 2.1, 6.0, 10.0, 12.5, 30.0)
FILLED_AND_CUT_S = (1.4, 12.5)
EVERY_LENGTH_HZ = (22_050, 48_000)  # resampled, and not: what is done with a length does not depend on the rate


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 22_050, 32_000, 44_100, 48_000, 96_000])
def test_a_clip_has_the_vector_of_the_released_code(
    rate_hz: int, official: Official, recogniser: Recogniser, tmp_path: Path
) -> None:
    cosines = {}
    for seconds in LENGTHS_S if rate_hz in EVERY_LENGTH_HZ else FILLED_AND_CUT_S:
        path = tmp_path / f"{seconds}.wav"
        sound = song(seconds, rate_hz, channels=1 + (seconds == 2.1)) + (0.02 if seconds == 6.0 else 0.0)  # an offset
        soundfile.write(path, sound, rate_hz, subtype="PCM_16")
        first = next(recogniser.windows(FileSource(path)))
        cosines[seconds] = float(first.vector @ official(path))
    assert min(cosines.values()) > 0.999, cosines


def test_it_would_not_have_that_vector_if_sound_were_repeated(
    made: Made, official: Official, recogniser: Recogniser, tmp_path: Path
) -> None:
    """The tower tells the difference, so that the test above can fail."""
    from dataclasses import replace

    pack = Pack.load(made.pack)
    path = tmp_path / "short.wav"
    soundfile.write(path, song(1.4, 22_050), 22_050)
    wanted = official(path)
    for change in ({"pad": "repeat"}, {"start": "beginning"}, {"resampler": "soxr"}):
        recogniser.pack = replace(pack, audio=replace(pack.audio, **change))  # type: ignore[arg-type]
        other = float(next(recogniser.windows(FileSource(path))).vector @ wanted)
        assert other < 0.9995, (change, other)
    recogniser.pack = pack
