"""From a checkpoint to a pack that the device loads, and nothing left behind when a check fails."""

from __future__ import annotations

import csv
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from edgeapp.audio.file import FileSource
from edgeapp.pack.format import Pack
from edgeapp.recognition.gallery_build import build_gallery
from edgeapp.recognition.recogniser import Recogniser
from edgeapp.runtime.encoders import AudioEncoder, ImageEncoder, TextEncoder
from edgeapp.runtime.tensorrt.build import MODULES
from export import pack as export_pack
from export.cli import main
from gallery import PROMPT_FORMS, read_taxa
from tests.trainer.tiny import IMAGE_SIZE, SPECIES, WINDOW_S, Ended, Tiny, call
from trainer import checkpoint

Exported = tuple[Path, Ended]
SAMPLES = round(WINDOW_S * 32_000)  # of a window


def export(tiny: Tiny, folder: Path, out: Path, *more: object) -> Ended:
    return call(main, "--checkpoint", folder, "--out", out, *tiny.data_words(), *more)


def test_the_pack_loads_on_the_device_and_says_what_it_is(exported: Exported, run_folder: Path) -> None:
    folder, ended = exported
    assert ended.code == 0, ended.err
    pack = Pack.load(folder)
    assert (pack.name, pack.version, pack.licence, pack.preset) == ("tiny", "1.2", "CC0-1.0", "starter")
    assert (pack.audio.rate_hz, pack.audio.window_s, pack.gallery) == (32_000, WINDOW_S, None)
    loaded = checkpoint.load(run_folder / "stage2")
    assert (pack.space, pack.dim) == (loaded.space, loaded.config.preset.dim)
    fitted = json.loads((run_folder / "stage2" / "decision.json").read_text())
    assert pack.decision.to_dict() == fitted["decision"] and pack.metrics == fitted["metrics"]
    assert (folder / "MODEL_CARD.md").read_text() == "# Tones\n"


def test_parity_was_measured_on_every_kind_and_is_kept_in_the_pack(exported: Exported) -> None:
    folder, ended = exported
    parity = Pack.load(folder).parity
    assert set(parity) == {"audio", "split", "text", "image", "decisions"}
    assert all(parity[kind]["least"] >= 0.9999 for kind in ("audio", "split", "text", "image"))
    assert parity["decisions"] == {"same_species": 1.0, "recordings": 21}
    assert parity["audio"]["inputs"] == 21 and parity["image"]["inputs"] == 12
    assert parity["text"]["inputs"] == len(SPECIES) * len(PROMPT_FORMS)
    assert [line.split(":")[0] for line in ended.lines()[:3]] == ["audio.onnx", "text.onnx", "image.onnx"]
    assert ended.lines()[3] == "same species for 1.0000 of 21 recordings"


def test_the_graphs_take_any_number_and_give_unit_vectors(exported: Exported) -> None:
    pack = Pack.load(exported[0])
    audio, text, image = AudioEncoder(pack, 1), TextEncoder(pack, 1), ImageEncoder(pack, 1)
    rng = np.random.default_rng(1)
    for n in (1, 3):
        sound = 0.1 * rng.standard_normal((n, SAMPLES)).astype(np.float32)
        pixels = rng.uniform(0, 255, (n, 3, IMAGE_SIZE, IMAGE_SIZE)).astype(np.float32)
        for vectors in (audio.encode(sound), text.encode(["Parus major"] * n), image.encode_pixels(pixels)):
            assert vectors.shape == (n, pack.dim)
            assert np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-4)


def test_the_graphs_are_the_checkpoint_on_sound_it_was_not_checked_on(exported: Exported, run_folder: Path) -> None:
    pack, model = Pack.load(exported[0]), checkpoint.load(run_folder / "stage2").model
    rng = np.random.default_rng(2)
    sound = rng.standard_normal((3, SAMPLES)).astype(np.float32) * np.array([[1.0], [1e-3], [0.0]], np.float32)
    with torch.no_grad():
        wanted = model.audio(torch.from_numpy(sound)).numpy()
    given = AudioEncoder(pack, 1).encode(sound)
    assert (wanted * given).sum(axis=1).min() > 0.9999
    assert np.abs(given[0] - given[2]).max() > 1e-3  # sound is not silence


def test_the_front_end_is_inside_and_needs_no_fft(exported: Exported) -> None:
    graph = onnx.load(str(exported[0] / "audio.onnx")).graph
    assert [node.name for node in graph.input] == ["waveform"] and [node.name for node in graph.output] == ["embedding"]
    assert not {node.op_type for node in graph.node} & {"DFT", "STFT"}


def test_authors_and_licences_of_what_it_was_trained_on_are_in_the_pack(exported: Exported, run_folder: Path) -> None:
    path = exported[0] / "ATTRIBUTION.csv"
    assert path.read_bytes() == (run_folder / "stage2" / "ATTRIBUTION.csv").read_bytes()
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert 0 < len(rows) < 21 + 12  # without those that were held out
    assert {row["modality"] for row in rows} == {"audio", "image"}
    assert all(row["author"] == "A. Author" and row["licence"] == "CC0-1.0" and row["source_id"] for row in rows)


def test_the_device_identifies_with_it(exported: Exported, tiny: Tiny, tmp_path: Path) -> None:
    pack = Pack.load(exported[0])
    gallery = tmp_path / "gallery.sqlite"
    build_gallery(gallery, pack, read_taxa(tiny.taxa))
    recogniser = Recogniser(pack, gallery, threads=1)
    (result,) = recogniser.windows(FileSource(tiny.manifest.parent / "Parus_major_0.wav"), 5.0)
    assert result.heard and result.confidences.shape == (len(read_taxa(tiny.taxa)),) and result.confidences.any()


def spoilt(name: str, change: Callable[[np.ndarray], np.ndarray], monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the export of one tower write a graph with other weights."""
    whole = getattr(export_pack, name)

    def wrong(model: torch.nn.Module, preset: object, path: Path) -> None:
        whole(model, preset, path)
        network = onnx.load(str(path))
        largest = max(network.graph.initializer, key=lambda tensor: len(tensor.raw_data))
        values = onnx.numpy_helper.to_array(largest).copy()
        largest.CopyFrom(onnx.numpy_helper.from_array(change(values), largest.name))
        onnx.save(network, str(path))

    monkeypatch.setattr(export_pack, name, wrong)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("tower", "clips"),
    [("export_audio", (".wav", ".flac", ".ogg", ".mp3")), ("export_text", SPECIES), ("export_image", (".png",))],
)
def test_a_wrong_graph_is_named_with_clip_and_cosine_and_leaves_nothing(
    tower: str, clips: tuple[str, ...], tiny: Tiny, stage2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoilt(tower, lambda values: np.roll(values, 1, axis=0), monkeypatch)
    ended = export(tiny, stage2, tmp_path / "packs" / "new")
    assert ended.code == 3
    line = ended.lines()[-1]
    assert tower.removeprefix("export_") + ".onnx: cosine " in line and "below 0.9999" in line
    assert any(clip in line for clip in clips)
    assert list((tmp_path / "packs").iterdir()) == []


@pytest.mark.usefixtures("quick")
def test_another_manifest_does_not_stand_in_for_missing_attribution(tiny: Tiny, stage2: Path, tmp_path: Path) -> None:
    (stage2 / "ATTRIBUTION.csv").unlink()
    ended = export(tiny, stage2, tmp_path / "packs" / "new")
    assert ended.code == 2 and "does not say what it was trained on" in ended.lines()[-1]
    assert list((tmp_path / "packs").iterdir()) == []


@pytest.mark.usefixtures("quick")
def test_a_failed_check_leaves_the_older_pack(
    exported: Exported, tiny: Tiny, stage2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = Path(shutil.copytree(exported[0], tmp_path / "pack"))
    spoilt("export_text", lambda values: np.roll(values, 1, axis=0), monkeypatch)
    ended = export(tiny, stage2, older)
    assert ended.code == 3
    assert Pack.load(older).version == "1.2"
    assert {path.name for path in tmp_path.iterdir()} == {"stage2", "pack"}


@pytest.mark.usefixtures("quick")
def test_an_older_pack_is_replaced(exported: Exported, tiny: Tiny, stage2: Path, tmp_path: Path) -> None:
    older = Path(shutil.copytree(exported[0], tmp_path / "pack"))
    (older / "stray").write_text("of the older one")
    ended = export(tiny, stage2, older, "--version", "2.0")
    assert ended.code == 0, ended.err
    assert Pack.load(older).version == "2.0" and not (older / "stray").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"stage2", "pack"}


def test_a_folder_that_is_no_pack_is_not_touched(tiny: Tiny, stage2: Path, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "mine.jpg").write_bytes(b"mine")
    ended = export(tiny, stage2, tmp_path / "photos")
    assert ended.code == 2 and "exists and is not a pack" in ended.lines()[-1]
    assert (tmp_path / "photos" / "mine.jpg").read_bytes() == b"mine"


@pytest.mark.parametrize("content", [None, "", "{}", "[]", '{"decision": {}}', '{"decision": {"floor": 1}}'])
def test_without_decision_parameters_one_line_says_how_to_get_them(
    content: str | None, tiny: Tiny, stage2: Path, tmp_path: Path
) -> None:
    (stage2 / "decision.json").unlink()
    if content is not None:
        (stage2 / "decision.json").write_text(content)
    ended = export(tiny, stage2, tmp_path / "pack")
    (line,) = ended.lines()
    assert ended.code == 2 and str(stage2 / "decision.json") in line and "python -m trainer calibrate" in line
    assert not (tmp_path / "pack").exists()


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--checkpoint", "absent"], 3, "train this stage first"),
        (["--card", "absent.md"], 2, "absent.md: no such file"),
        (["--data", "absent.csv"], 2, "absent.csv"),
        (["--wrong"], 2, "--wrong"),
    ],
)
def test_what_cannot_be_done_is_said(
    words: list[str], code: int, says: str, tiny: Tiny, stage2: Path, tmp_path: Path
) -> None:
    ended = export(tiny, stage2, tmp_path / "pack", *words)
    assert ended.code == code and says in ended.err and "Traceback" not in ended.err
    assert not (tmp_path / "pack").exists()


@pytest.mark.usefixtures("quick")
def test_unreadable_files_are_one_line_each_and_the_others_are_checked(
    tiny: Tiny, stage2: Path, tmp_path: Path
) -> None:
    data = Path(shutil.copytree(tiny.manifest.parent, tmp_path / "data"))
    (data / "Bufo_bufo_0.wav").unlink()
    (data / "Bufo_bufo_1.flac").write_text("no sound")
    (data / "Parus_minor_1.png").write_text("no picture")
    ended = export(tiny, stage2, tmp_path / "pack", "--data", data / "manifest.csv")
    assert ended.code == 1
    for name in ("Bufo_bufo_0.wav", "Bufo_bufo_1.flac", "Parus_minor_1.png"):
        (line,) = [line for line in ended.lines() if name in line]
        assert "; " in line
    parity = Pack.load(tmp_path / "pack").parity
    assert parity["audio"]["inputs"] == 19 and parity["image"]["inputs"] == 11


def test_engines_that_cannot_be_built_are_refused_before_the_export(
    tiny: Tiny, stage2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "pack"
    for _, module in MODULES:
        monkeypatch.setitem(sys.modules, module, None)
    ended = export(tiny, stage2, out, "--tensorrt")
    assert ended.code == 3 and "TensorRT is not installed" in ended.lines()[-1] and not out.exists()
    ended = export(tiny, stage2, out, "--target", "8.6")
    assert ended.code == 2 and "--target goes with --tensorrt; give both" in ended.lines()[-1] and not out.exists()
