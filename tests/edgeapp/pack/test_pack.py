"""A pack is whole and unchanged, or it is refused with the name of the file."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from edgeapp.audio.cutting import Cutting
from edgeapp.errors import PackError
from edgeapp.pack.format import Pack, adopt_gallery
from edgeapp.pack.hashes import sha256
from edgeapp.pack.range import RangeSpec
from edgeapp.runtime.encoders import AudioEncoder, ImageEncoder, TextEncoder, image_pixels
from gallery.store import EncoderIdentity
from tests.edgeapp import toy_pack as toy


def change(folder, **fields):
    path = folder / "pack.json"
    document = json.loads(path.read_text()) | fields
    path.write_text(json.dumps({key: value for key, value in document.items() if value != "gone"}))


def test_what_was_written_is_read(toy_pack):
    pack = Pack.load(toy_pack)
    assert (pack.name, pack.version, pack.licence, pack.preset) == ("toy", "1.0", "CC0-1.0", "toy")
    assert pack.identity == EncoderIdentity("toy", 4, "toy 1.0")
    assert pack.audio.window_samples == 80_000
    assert pack.decision == toy.decision()
    assert set(pack.files) == {"audio.onnx", "text.onnx", "image.onnx", "tokenizer.json", "gallery.sqlite"}
    assert pack.gallery_path() == toy_pack / "gallery.sqlite"


def test_a_pack_that_says_nothing_of_it_hears_as_packs_always_did(toy_pack):
    pack = Pack.load(toy_pack)
    assert {"start", "resampler", "min_clip_s", "offset"}.isdisjoint(
        json.loads((toy_pack / "pack.json").read_text())["audio"]
    )
    assert pack.audio.cutting == Cutting(8_000, 10.0, 5.0, "repeat", "beginning", "soxr", 0.5) and pack.calibrated


def test_what_a_pack_hears_stays_in_it(toy_copy):
    change(toy_copy, calibrated=False)
    document = json.loads((toy_copy / "pack.json").read_text())
    heard = {"pad": "zero", "start": "onset", "resampler": "sinc", "min_clip_s": 0.05, "offset": "kept"}
    change(toy_copy, audio=document["audio"] | heard)
    pack = adopt_gallery(Pack.load(toy_copy), "gallery.sqlite")
    assert pack.audio.cutting == Cutting(8_000, 10.0, 5.0, **heard) and not pack.calibrated


@pytest.mark.parametrize("name", ["audio.onnx", "text.onnx", "tokenizer.json", "gallery.sqlite"])
def test_a_changed_byte_is_named(toy_copy, name):
    path = toy_copy / name
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)
    with pytest.raises(PackError, match=f"{name} was changed") as caught:
        Pack.load(toy_copy)
    assert caught.value.exit_code == 3
    Pack.load(toy_copy, verify=False)


def test_a_missing_file_is_named(toy_copy):
    (toy_copy / "image.onnx").unlink()
    with pytest.raises(PackError, match="image.onnx is missing"):
        Pack.load(toy_copy, verify=False)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"format": 2}, "format 2, this program reads format 1"),
        ({"audio": "gone"}, "'audio' is missing"),
        ({"decision": {}}, "decision"),
        ({"audio": {"file": "../audio.onnx", "rate_hz": 8000, "window_s": 10}}, "lies outside the pack"),
        ({"audio": {"file": "audio.onnx", "hertz": 8000}}, "hertz"),
    ],
)
def test_a_wrong_pack_json_is_refused_with_the_reason(toy_copy, fields, words):
    change(toy_copy, **fields)
    with pytest.raises(PackError, match=words):
        Pack.load(toy_copy)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("audio.rate_hz", 0),
        ("audio.rate_hz", 10**9),
        ("audio.rate_hz", 10**400),
        ("audio.rate_hz", 8000.5),
        ("audio.rate_hz", True),
        ("audio.rate_hz", "8000"),
        ("audio.window_s", 1e9),
        ("audio.window_s", 0),
        ("audio.window_s", -3),
        ("audio.window_s", float("nan")),
        ("audio.hop_s", float("inf")),
        ("audio.hop_s", 0),
        ("audio.unit", "yes"),
        ("audio.pad", "mirror"),
        ("audio.start", "end"),
        ("audio.resampler", "linear"),
        ("audio.offset", "halved"),
        ("audio.min_clip_s", -1),
        ("calibrated", "no"),
        ("audio.file", ["audio.onnx"]),
        ("audio.file", "a" * 5000),
        ("audio", []),
        ("text.context", 10**12),
        ("image.size", -1),
        ("image.size", 10**6),
        ("encoder.dim", 0),
        ("encoder.dim", 2**40),
        ("encoder", "toy"),
        ("decision.slope", 10**400),
        ("decision.null_logit", 1e300),
        ("decision.scale", {"audio": 1e308, "text": 1, "image": 1}),
        ("decision", None),
        ("files", ["audio.onnx"]),
        ("files", {"audio.onnx": 5}),
        ("gallery", 7),
        ("metrics", "good"),
        ("format", 10**400),
    ],
)
def test_a_value_out_of_its_range_is_refused_in_one_line(toy_copy, place, value):
    document = json.loads((toy_copy / "pack.json").read_text())
    *path, last = place.split(".")
    inner = document
    for name in path:
        inner = inner[name]
    inner[last] = value
    (toy_copy / "pack.json").write_text(json.dumps(document))
    with pytest.raises(PackError) as caught:
        Pack.load(toy_copy)
    assert "pack.json" in str(caught.value) and len(str(caught.value)) < 400


@pytest.mark.parametrize("content", ["{", "", "[]", "[" * 100_000, '{"a":' * 100_000, "\x00", "[" * 900 + "]" * 900])
def test_a_pack_json_that_is_no_json_is_refused(toy_copy, content):
    (toy_copy / "pack.json").write_text(content)
    with pytest.raises(PackError, match="is not (a )?JSON|too deep"):
        Pack.load(toy_copy)


def test_a_link_out_of_a_pack_is_refused(toy_copy, tmp_path):
    (tmp_path / "elsewhere.onnx").write_bytes((toy_copy / "image.onnx").read_bytes())
    (toy_copy / "image.onnx").unlink()
    (toy_copy / "image.onnx").symlink_to(tmp_path / "elsewhere.onnx")
    with pytest.raises(PackError, match=r"image\.onnx is a link to a file outside the pack"):
        Pack.load(toy_copy)


def test_no_folder_and_no_pack_in_it_are_refused(tmp_path):
    with pytest.raises(PackError, match="is not a folder"):
        Pack.load(tmp_path / "none")
    with pytest.raises(PackError, match=r"pack\.json is missing"):
        Pack.load(tmp_path)


def test_a_pack_takes_a_gallery_in_and_is_otherwise_the_same(toy_copy):
    before = Pack.load(toy_copy)
    (toy_copy / "gallery.sqlite").rename(toy_copy / "other.sqlite")
    after = adopt_gallery(before, "other.sqlite")
    assert after.gallery == "other.sqlite" and "gallery.sqlite" not in after.files
    assert replace(after, gallery=before.gallery, files=before.files) == before
    with pytest.raises(PackError, match=r"none\.sqlite is missing"):
        adopt_gallery(before, "none.sqlite")
    assert Pack.load(toy_copy) == after


def test_a_pack_is_not_written_without_its_encoder(tmp_path):
    with pytest.raises(PackError, match="audio.onnx is missing"):
        toy.write(tmp_path)
    assert not (tmp_path / "pack.json").exists()


def test_encoders_give_unit_vectors_of_one_space(toy_pack):
    from PIL import Image

    pack = Pack.load(toy_pack)
    heard = AudioEncoder(pack, threads=1).encode(toy.tone(3000)[None])
    read = TextEncoder(pack, threads=1).encode(["Common Cuckoo", "Parus major"])
    seen = ImageEncoder(pack, threads=1).encode([Image.new("RGB", (40, 30), (0, 200, 0))])
    assert heard[0] @ read[0] > 0.999 and heard[0] @ seen[0] > 0.999
    assert abs(heard[0] @ read[1]) < 0.01


def test_an_encoder_says_what_really_runs_it(toy_pack):
    import onnxruntime

    assert AudioEncoder(Pack.load(toy_pack)).provider in onnxruntime.get_available_providers()


def test_a_graph_that_does_not_load_is_named(toy_copy):
    (toy_copy / "audio.onnx").write_bytes(b"nonsense")
    with pytest.raises(PackError, match=r"audio\.onnx: cannot be loaded"):
        AudioEncoder(Pack.load(toy_copy, verify=False))


def test_a_vector_that_is_not_of_unit_length_is_never_used(toy_pack):
    with pytest.raises(PackError, match="not finite and of unit length"):
        TextEncoder(Pack.load(toy_pack), threads=1).encode(["no word it knows"])


def test_a_photo_is_turned_upright_and_cropped_to_its_middle(tmp_path):
    from PIL import Image

    wide = Image.new("RGB", (90, 30), (255, 0, 0))
    wide.paste((0, 0, 255), (30, 0, 60, 30))
    assert image_pixels(wide, 16)[:, 8, :].T.tolist()[8] == [0, 0, 255]
    exif = Image.Exif()
    exif[0x0112] = 6  # taken with the camera on its side
    tall = Image.new("RGB", (30, 60), (255, 0, 0))
    tall.paste((0, 255, 0), (0, 0, 30, 30))
    tall.save(tmp_path / "side.png", exif=exif)
    pixels = image_pixels(tmp_path / "side.png", 30)
    assert pixels.shape == (3, 30, 30)
    assert pixels[1, 15, 25] > 200 and pixels[0, 15, 5] > 200


RANGE = {"file": "range.onnx", "taxa": "range.txt", "threshold": 0.05}


def with_range(folder):
    """The toy pack with an occurrence model, whose graph is not looked into here."""
    for name in ("range.onnx", "range.txt"):
        (folder / name).write_text("Parus major\n")
    pack = Pack.load(folder)
    files = {name: sha256(folder / name) for name in ("range.onnx", "range.txt")}
    change(folder, range=RANGE, files={**pack.files, **files})


def test_a_pack_has_its_occurrence_model_and_keeps_it(toy_copy):
    assert Pack.load(toy_copy).range is None
    with_range(toy_copy)
    assert Pack.load(toy_copy).range == RangeSpec("range.onnx", "range.txt", 0.05)
    assert adopt_gallery(Pack.load(toy_copy)).range == RangeSpec(**RANGE)


@pytest.mark.parametrize("name", ["range.onnx", "range.txt"])
def test_a_missing_part_of_the_occurrence_model_is_named(toy_copy, name):
    with_range(toy_copy)
    (toy_copy / name).unlink()
    with pytest.raises(PackError, match=f"{name} is missing"):
        Pack.load(toy_copy, verify=False)


def test_a_threshold_of_the_occurrence_model_is_a_probability(toy_copy):
    with_range(toy_copy)
    change(toy_copy, range={**RANGE, "threshold": 3})
    with pytest.raises(PackError, match="threshold must be a number from 0 to 1, not 3"):
        Pack.load(toy_copy)
