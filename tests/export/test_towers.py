"""The text tower of a preset that stands on a pack, exported into a folder of towers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from edgeapp.pack.format import Pack, write_pack_json
from edgeapp.pack.specs import AudioSpec, TextSpec
from edgeapp.runtime.encoders import TextEncoder
from export.cli import main
from tests.trainer.tiny import Ended, call
from tests.trainer.trunk import classes
from trainer import checkpoint
from trainer.models.text import tokenize

NAMES = ["Cantorel albus", "Familia1idae", "大山雀", "with common name", "Passer  domesticus"]


@pytest.fixture(scope="module")
def exported(withheld_run: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Ended, Path]:
    """What the command said, and the folder, in which the towers of others were; not to be changed."""
    out = tmp_path_factory.mktemp("towers")
    (out / "towers.json").write_text('{"size": 224, "context": 1}', encoding="utf-8")
    (out / "image.onnx").write_bytes(b"of another")
    return call(main, "towers", withheld_run / "stage1", "--out", out), out


def test_device_encodes_names_as_the_checkpoint_does(
    exported: tuple[Ended, Path],
    withheld_run: Path,
    linear_pack: Path,
    tmp_path: Path,
) -> None:
    ended, out = exported
    assert ended.code == 0, ended.err
    out = Path(shutil.copytree(out, tmp_path / "towers"))
    assert "cosine at least 0.99" in ended.err
    context = json.loads((out / "towers.json").read_text(encoding="utf-8"))["context"]
    shutil.copyfile(linear_pack / "audio.onnx", out / "audio.onnx")
    audio = AudioSpec("audio.onnx", classes.RATE_HZ, classes.WINDOW_S, unit=False)
    described = {"name": "p", "version": "1", "licence": "CC0-1.0", "preset": "trunk", "space": "linear"}
    text = TextSpec("text.onnx", "tokenizer.json", context)
    write_pack_json(out, **described, dim=classes.DIM, audio=audio, decision=classes.UNIT, text=text)  # type: ignore[arg-type]
    given = torch.from_numpy(TextEncoder(Pack.load(out)).encode(NAMES))
    loaded = checkpoint.load(withheld_run / "stage1")
    with torch.no_grad():
        wanted = loaded.model.text(tokenize(loaded.tokenizer, NAMES))
    assert (given * wanted).sum(dim=1).min() > 0.999
    assert torch.allclose(given.norm(dim=1), torch.ones(len(NAMES)), atol=1e-4)


def test_towers_of_others_stay(exported: tuple[Ended, Path], withheld_run: Path) -> None:
    _, out = exported
    document = json.loads((out / "towers.json").read_text(encoding="utf-8"))
    assert document["size"] == 224
    assert document["context"] == checkpoint.load(withheld_run / "stage1").config.preset.context
    assert document["text"]["names"] == len(classes.taxa()) - 19
    assert (out / "image.onnx").read_bytes() == b"of another"


def test_weights_take_a_byte_each(exported: tuple[Ended, Path], withheld_run: Path) -> None:
    weights = checkpoint.load(withheld_run / "stage1").model.text.state_dict()
    numbers = sum(tensor.numel() for tensor in weights.values())
    assert (exported[1] / "text.onnx").stat().st_size < 1.3 * numbers + 8192


def test_a_preset_with_its_own_audio_tower_is_refused(run_folder: Path, tmp_path: Path) -> None:
    ended = call(main, "towers", run_folder / "stage2", "--out", tmp_path / "towers")
    assert ended.code == 2 and "has an audio tower; export it as a pack" in ended.err
    assert not (tmp_path / "towers").exists()


def test_a_damaged_document_is_named(withheld_run: Path, tmp_path: Path) -> None:
    (tmp_path / "towers.json").write_text("{", encoding="utf-8")
    ended = call(main, "towers", withheld_run / "stage1", "--out", tmp_path)
    assert ended.code == 2 and "towers.json: cannot be read" in ended.err
    assert not (tmp_path / "text.onnx").exists()


def test_a_pack_is_not_made_of_a_checkpoint_without_audio_tower(withheld_run: Path, tmp_path: Path) -> None:
    (tmp_path / "decision.json").write_text(json.dumps({"decision": classes.UNIT.to_dict()}), encoding="utf-8")
    ended = call(
        main, "--checkpoint", withheld_run / "stage1", "--decision", tmp_path / "decision.json", "--out", tmp_path / "p"
    )
    assert ended.code != 0 and "Traceback" not in ended.err
    assert not (tmp_path / "p").exists()
