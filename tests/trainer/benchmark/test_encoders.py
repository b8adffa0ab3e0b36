"""Built-in encoders on small weights in the published layouts, against the libraries' own way to use them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image
from safetensors.torch import load_file

from tests.trainer import published as weights
from tests.trainer.tiny import Tiny, tone
from trainer.benchmark.encoders import ONSET, TorchEncoder, from_onset, open_encoder, parsed
from trainer.data.manifest import Sample
from trainer.errors import BiovitaError, CheckpointError, ConfigError, DataError

CPU = torch.device("cpu")
RATE_HZ = 48_000
NAMES = ["Parus major", "Great Tit", "Bufo bufo", "a very long name " * 30]


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("media")
    quiet = np.concatenate([np.zeros(RATE_HZ, np.float32), tone(900, 12.0, RATE_HZ)])
    soundfile.write(folder / "long.wav", quiet, RATE_HZ)
    soundfile.write(folder / "short.flac", np.stack([tone(500, 2.0, 22_050), tone(700, 2.0, 22_050)], axis=1), 22_050)
    for number, size in enumerate([(80, 64), (48, 48)]):
        pixels = np.random.default_rng(number).integers(0, 255, (*size, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    (folder / "broken.wav").write_text("no sound")
    (folder / "broken.png").write_text("no picture")
    return folder


def sounds(media: Path) -> list[Path]:
    return [media / "long.wav", media / "short.flac"]


def pictures(media: Path) -> list[Path]:
    return [media / "0.png", media / "1.png"]


def save_tokenizer(folder: Path) -> None:
    """A byte-level tokenizer of 64 tokens where a ClapModel has its own."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    letters = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3}
    letters |= {letter: 4 + n for n, letter in enumerate("abcdefghijklmnopqrstuvwxyzGPBT")}
    made = Tokenizer(models.WordLevel(letters, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    made.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    marks = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    PreTrainedTokenizerFast(tokenizer_object=made, **marks).save_pretrained(folder)


def heard_by_library(media: Path) -> torch.Tensor:
    """What the published model's own extractor makes of a recording."""
    from transformers import ClapFeatureExtractor

    window = from_onset(soundfile.read(media / "long.wav", dtype="float32")[0], RATE_HZ, 10 * RATE_HZ)
    extractor = ClapFeatureExtractor(truncation="rand_trunc", frequency_min=50)
    return extractor([window], sampling_rate=RATE_HZ, return_tensors="pt")["input_features"]


def pooled(features: Any) -> torch.Tensor:
    """The vectors; transformers 5 gives them with what they are pooled of."""
    return features if isinstance(features, torch.Tensor) else features.pooler_output


def unit(vectors: torch.Tensor) -> np.ndarray:
    return torch.nn.functional.normalize(vectors, dim=-1).detach().numpy()


def same(one: np.ndarray | None, other: np.ndarray) -> bool:
    return one is not None and one.shape == other.shape and bool(np.abs(one - other).max() < 2e-4)


def test_clap_is_the_librarys_own_model_in_its_own_space(media: Path, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    model = weights.small_clap()
    save_tokenizer(weights.clap_folder(tmp_path))
    encoder = open_encoder(f"clap:{tmp_path}", CPU, ONSET)
    assert encoder.images(pictures(media)) is None
    expected = unit(pooled(model.get_audio_features(input_features=heard_by_library(media))))
    assert same(encoder.audio(sounds(media)[:1]), expected)
    tokens = AutoTokenizer.from_pretrained(tmp_path)(NAMES[:3], padding=True, return_tensors="pt")
    told = model.get_text_features(tokens["input_ids"], attention_mask=tokens["attention_mask"])
    assert same(encoder.texts(NAMES[:3]), unit(pooled(told)))
    assert encoder.texts(NAMES).shape == (4, weights.PROJECTED)  # a long one is cut


def test_bioclip_is_the_librarys_own_model(media: Path, tmp_path: Path) -> None:
    import open_clip

    encoder = open_encoder(f"bioclip:{weights.bioclip_folder(tmp_path)}", CPU)
    model = weights.small_clip()
    model.load_state_dict(load_file(str(tmp_path / "open_clip_model.safetensors")))
    assert encoder.audio(sounds(media)) is None
    seen = open_clip.image_transform(weights.IMAGE_SIZE, False, tuple(weights.MEAN), tuple(weights.STD))
    pixels = torch.stack([seen(Image.open(path)) for path in pictures(media)])
    found = encoder.images(pictures(media))
    assert found is not None and np.abs(found - unit(model.encode_image(pixels))).max() < 5e-3  # rounding in resizing
    tokens = open_clip.SimpleTokenizer()(NAMES[:3])
    assert same(encoder.texts(NAMES[:3]), unit(model.encode_text(tokens)))


def test_the_published_biovita_has_all_three_in_one_space(media: Path, tmp_path: Path) -> None:
    clap, adapter = weights.small_clap(3), weights.small_adapter()
    encoder = open_encoder(f"biovita:{weights.biovita_folder(tmp_path)}", CPU, ONSET)
    features = pooled(clap.get_audio_features(input_features=heard_by_library(media)))
    assert same(encoder.audio(sounds(media)[:1]), unit(features @ adapter.T))
    assert {found.shape for found in (encoder.images(pictures(media)), encoder.texts(NAMES[:2]))} == {(2, weights.DIM)}


def test_a_checkpoint_hears_as_the_trainers_evaluation_does(tiny: Tiny, run_folder: Path) -> None:
    from gallery import read_taxa
    from trainer import checkpoint
    from trainer.data.manifest import read_manifest
    from trainer.data.sounds import SoundStore
    from trainer.evaluate import recording_vectors
    from trainer.heard import hear

    encoder = open_encoder(str(run_folder / "stage2"), CPU)
    assert encoder.name == str(run_folder / "stage2")
    found = checkpoint.load(run_folder / "stage2")
    recordings = read_manifest(tiny.manifest, read_taxa(tiny.taxa)).recordings[:3]
    store = SoundStore(recordings, found.config.preset.mel.rate_hz)
    preset = found.config.preset
    expected = recording_vectors(hear(found.model.audio, store, preset.cutting, CPU)).vectors
    assert same(encoder.audio([sample.path for sample in recordings]), expected)
    assert encoder.texts(["Parus major"]).shape == (1, found.config.preset.dim)
    shown = encoder.images(sorted(tiny.manifest.parent.glob("*.png"))[:2])
    assert shown is not None and np.allclose(np.linalg.norm(shown, axis=1), 1, atol=1e-5)


def test_what_cannot_be_decoded_is_named(media: Path, tmp_path: Path) -> None:
    weights.biovita_folder(tmp_path)
    encoder = open_encoder(f"biovita:{tmp_path}", CPU)
    with pytest.raises(BiovitaError, match="broken.wav"):
        encoder.audio([media / "long.wav", media / "broken.wav"])
    with pytest.raises(DataError, match="broken.png: not a picture"):
        encoder.images([media / "broken.png"])


def test_a_piece_of_a_shard_is_the_same_as_the_file(media: Path, tmp_path: Path) -> None:
    encoder = open_encoder(f"biovita:{weights.biovita_folder(tmp_path / 'model')}", CPU)
    shard = tmp_path / "000000.tar"
    pieces, content = {}, b"something before"
    for path in (*sounds(media), *pictures(media)):
        pieces[path] = Sample(shard, 0, ("", ""), offset=len(content), size=path.stat().st_size)
        content += path.read_bytes() + b"something between"
    shard.write_bytes(content)
    for embed, files in ((encoder.audio, sounds(media)), (encoder.images, pictures(media))):
        whole, cut = embed(files), embed([pieces[path] for path in files])
        assert whole is not None and cut is not None and np.array_equal(whole, cut)
    beyond = Sample(shard, 0, ("", ""), offset=10, size=10**9)
    for embed in (encoder.audio, encoder.images):
        with pytest.raises(DataError, match="000000.tar"):
            embed([beyond])


def test_too_short_a_recording_is_named(media: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "click.wav", tone(900, 0.04, RATE_HZ), RATE_HZ)
    folder = weights.biovita_folder(tmp_path / "model")
    with pytest.raises(DataError, match="click.wav: is only 0.04 s long"):
        open_encoder(f"biovita:{folder}", CPU).audio([media / "long.wav", tmp_path / "click.wav"])
    assert open_encoder(f"biovita:{folder}", CPU, ONSET).audio([tmp_path / "click.wav"]) is not None


def slow_onset(sound: np.ndarray, rate_hz: int, samples: int) -> np.ndarray:
    """The published preprocessing as told: first sample above 1 % of the largest, 0.2 s before it, zeros after."""
    limit = torch.from_numpy(sound).abs().max().item() * 0.01
    start = 0
    for place, value in enumerate(torch.from_numpy(sound).abs() > limit):
        if value:
            start = max(0, place - int(0.2 * rate_hz))
            break
    window = sound[start : start + samples].tolist()
    return np.array(window + [0.0] * (samples - len(window)), dtype=np.float32)


@pytest.mark.parametrize("silence", [0, 100, 900, 3000])
@pytest.mark.parametrize("length", [10, 500, 5000])
def test_the_onset_is_the_published_one(silence: int, length: int) -> None:
    rng = np.random.default_rng(silence + length)
    before = 0.004 * rng.uniform(-1, 1, silence)
    sound = np.concatenate([before, rng.uniform(-1, 1, length)]).astype(np.float32)
    assert np.array_equal(from_onset(sound, 1000, 2000), slow_onset(sound, 1000, 2000))


def test_silence_stays_silence() -> None:
    assert np.array_equal(from_onset(np.zeros(50, np.float32), 1000, 80), np.zeros(80))


def test_how_it_was_heard_is_part_of_the_origin(tmp_path: Path) -> None:
    weights.biovita_folder(tmp_path)
    one, other = (open_encoder(f"biovita:{tmp_path}", CPU, excerpt).origin for excerpt in ("windows", ONSET))
    assert one != other and "1 % of the peak" in other["sound"] and one["weights"] == other["weights"]
    path = tmp_path / "clap_weights.pth"
    torch.save({**torch.load(path), "audio_adapter": {"weight": weights.small_adapter(9)}}, path)
    assert open_encoder(f"biovita:{tmp_path}", CPU).origin != one


@pytest.mark.parametrize(
    ("spec", "found"),
    [
        ("biovita", ("biovita", "biovita", None)),
        ("clap", ("clap", "clap", None)),
        ("biolingual", ("biolingual", "biolingual", "hf-hub:davidrrobinson/BioLingual")),
        ("mine=bioclip:hf-hub:a/b@c", ("mine", "bioclip", "hf-hub:a/b@c")),
        ("clap:models/clap", ("clap:clap", "clap", "models/clap")),
        ("checkpoint:runs/x/stage2", ("runs/x/stage2", "checkpoint", "runs/x/stage2")),
        ("old=checkpoint:runs/x/stage2", ("old", "checkpoint", "runs/x/stage2")),
    ],
)
def test_a_model_is_named_in_words(spec: str, found: tuple[str, str, str | None]) -> None:
    name, kind, source = parsed(spec)
    assert (name, kind) == found[:2] and (found[2] is None or source == found[2]) and source


def test_models_that_do_not_exist_are_refused(tmp_path: Path) -> None:
    for spec in ("perch:folder", "absent/folder", ""):
        with pytest.raises(ConfigError, match="of an unknown kind"):
            open_encoder(spec, CPU)
    with pytest.raises(ConfigError, match="names no folder"):
        open_encoder("checkpoint", CPU)
    with pytest.raises(ConfigError, match="excerpt 'twice'"):
        open_encoder(f"clap:{tmp_path}", CPU, "twice")
    for kind in ("checkpoint", "clap", "bioclip", "biovita"):
        with pytest.raises(CheckpointError):
            open_encoder(f"{kind}:{tmp_path}", CPU)


def test_a_clap_without_its_tokenizer_is_refused(tmp_path: Path) -> None:
    """The library would make an empty one, and every name would read the same."""
    weights.clap_folder(tmp_path)
    with pytest.raises(CheckpointError, match="has no tokenizer.json or vocab.json"):
        open_encoder(f"clap:{tmp_path}", CPU)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(CheckpointError, match="its text tower cannot be built") as raised:
        open_encoder(f"clap:{tmp_path}", CPU)
    assert "\n" not in str(raised.value)


def test_an_encoder_is_what_the_protocol_asks_for(tmp_path: Path) -> None:
    weights.bioclip_folder(tmp_path)
    encoder = open_encoder(f"bioclip:{tmp_path}", CPU)
    assert isinstance(encoder, TorchEncoder) and encoder.name == f"bioclip:{tmp_path.name}"
    norms = np.linalg.norm(encoder.texts(NAMES), axis=1)
    assert np.allclose(norms, 1, atol=1e-5)
