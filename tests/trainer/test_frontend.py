"""The front end is EfficientAT's, and LevelNorm makes every recording as loud as the next."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edgeapp.audio.file import FileSource, decode
from edgeapp.audio.windows import fill
from trainer.frontend import LevelNorm, LogMel, LogMelConfig, kaldi_mel_bank, slaney_mel_bank
from trainer.models.biovita import CLAP_MEL

CONFIG = LogMelConfig()
WINDOW = 480_000  # samples of the full size


def reference_log_mel(waveform: torch.Tensor) -> torch.Tensor:
    """The same through the library's FFT."""
    emphasised = waveform[:, 1:] - CONFIG.preemphasis * waveform[:, :-1]
    window = torch.hann_window(CONFIG.win_length, periodic=False)
    spectrum = torch.stft(
        emphasised, 1024, CONFIG.hop, CONFIG.win_length, window, center=True, pad_mode="reflect", return_complex=True
    )
    bank = torch.from_numpy(kaldi_mel_bank(CONFIG).astype(np.float32))
    return (torch.log(bank @ spectrum.abs().square() + CONFIG.log_floor) + CONFIG.shift) / CONFIG.spread


@pytest.mark.parametrize("samples", [320_000, 32_000, 31_999, 5_000])
def test_log_mel_is_that_of_the_fft(samples: int) -> None:
    waveform = 0.1 * torch.randn((2, samples), generator=torch.Generator().manual_seed(1))
    ours, theirs = LogMel()(waveform), reference_log_mel(waveform)
    assert ours.shape == theirs.shape == (2, CONFIG.n_mels, CONFIG.frames(samples))
    assert (ours - theirs).abs().max() < 1e-3


def test_log_mel_is_the_reference_implementations(shared: Path) -> None:
    golden = np.load(shared / "pretrained" / "efficientat_mn04_golden.npz")
    ours = LogMel()(torch.from_numpy(golden["waveform"]).reshape(1, -1).float())[0].numpy()
    theirs = golden["log_mel"].astype(np.float32).reshape(CONFIG.n_mels, -1)
    assert np.abs(ours - theirs).max() < 0.005  # the golden values are kept in half precision


def test_a_tone_is_loudest_in_the_band_whose_centre_is_nearest() -> None:
    for frequency_hz in (500.0, 1000.0, 4000.0, 9000.0):
        waveform = torch.sin(2 * torch.pi * frequency_hz * torch.arange(32_000) / CONFIG.rate_hz)[None]
        edges = np.linspace(0, 1127 * np.log1p(CONFIG.fmax_hz / 700), CONFIG.n_mels + 2)
        nearest = np.abs(edges[1:-1] - 1127 * np.log1p(frequency_hz / 700)).argmin()
        assert abs(int(LogMel()(waveform)[0].mean(dim=1).argmax()) - nearest) <= 1


def test_the_mel_bank_ends_at_its_highest_frequency_with_full_bands() -> None:
    bank = kaldi_mel_bank(CONFIG)
    hz = np.arange(513) * CONFIG.rate_hz / 1024
    assert bank.shape == (CONFIG.n_mels, 513)
    assert bank.min() == 0.0 and bank.max() <= 1.0
    assert bank[:, hz > CONFIG.fmax_hz].max() == 0.0
    assert (bank.max(axis=1) > 0).sum() >= CONFIG.n_mels - 2  # two bands are narrower than the distance of two bins


def test_the_full_front_end_has_no_preemphasis_and_another_window() -> None:
    config = LogMelConfig(
        rate_hz=48_000, win_length=1024, hop=480, n_mels=64, fmin_hz=50, fmax_hz=14_000, preemphasis=0.0
    )
    waveform = 0.1 * torch.randn((1, 48_000), generator=torch.Generator().manual_seed(2))
    window = torch.hann_window(1024, periodic=False)
    spectrum = torch.stft(waveform, 1024, 480, 1024, window, center=True, pad_mode="reflect", return_complex=True)
    bank = torch.from_numpy(kaldi_mel_bank(config).astype(np.float32))
    theirs = (torch.log(bank @ spectrum.abs().square() + config.log_floor) + config.shift) / config.spread
    assert (LogMel(config)(waveform) - theirs).abs().max() < 1e-3


def clap_extractor() -> Any:
    """The feature extractor of the unfused CLAP, with the values of its published configuration."""
    transformers = pytest.importorskip("transformers")
    return transformers.ClapFeatureExtractor(frequency_min=50, frequency_max=14_000, truncation="rand_trunc")


def clap_log_mel(extractor: Any, sound: np.ndarray) -> np.ndarray:
    """[64, 1001] in dB."""
    return np.asarray(extractor(sound, sampling_rate=48_000, return_tensors="np")["input_features"][0, 0]).T


def made_sounds() -> dict[str, np.ndarray]:
    """Sounds that are hard on a transform: very quiet, silent, pure, with bands far below others, clipped, sparse."""
    rng = np.random.default_rng(7)
    time = np.arange(WINDOW) / 48_000
    noise = rng.standard_normal(WINDOW)
    rumble = 0.9 * np.sin(2 * np.pi * 60 * time)
    click = np.zeros(WINDOW)
    click[200_000] = 1.0
    sounds = {
        "noise": 0.1 * noise,
        "quiet": 1e-5 * noise,
        "silent": np.zeros(WINDOW),
        "rumble under a whisper": rumble + 1e-5 * noise,
        "tone": 0.5 * np.sin(2 * np.pi * 3000 * time),
        "sweep": 0.5 * np.sin(2 * np.pi * (200 + 650 * time) * time),
        "square": np.sign(rumble),
        "click": click,
        "offset": 0.5 + 1e-4 * noise,
    }
    return {name: sound.astype(np.float32) for name, sound in sounds.items()}


@pytest.mark.parametrize("name", made_sounds())
def test_the_front_end_of_the_full_size_is_claps(name: str) -> None:
    sound = made_sounds()[name]
    ours = LogMel(CLAP_MEL)(torch.from_numpy(sound)[None])
    assert ours.shape == (1, 64, 1001) and ours.dtype == torch.float32
    assert np.abs(ours[0].numpy() - clap_log_mel(clap_extractor(), sound)).max() < 1e-3  # dB


def test_the_front_end_of_the_full_size_is_claps_on_real_recordings(shared: Path) -> None:
    extractor, front = clap_extractor(), LogMel(CLAP_MEL)
    paths = [*sorted((shared / "starter" / "audio").rglob("*.*"))[::32], *(shared / "field_recordings").glob("*.flac")]
    assert {path.suffix for path in paths} >= {".mp3", ".ogg", ".flac"}
    for path in paths:
        sound = np.ascontiguousarray(fill(decode(FileSource(path), 48_000)[:WINDOW], WINDOW), np.float32)
        ours = front(torch.from_numpy(sound)[None])[0].numpy()
        assert np.abs(ours - clap_log_mel(extractor, sound)).max() < 1e-3, path.name


def test_the_mel_bank_of_the_full_size_is_the_librarys() -> None:
    assert np.abs(slaney_mel_bank(CLAP_MEL).T - clap_extractor().mel_filters_slaney).max() < 1e-15


def test_in_float32_a_band_far_below_another_is_off() -> None:
    sound = torch.from_numpy(made_sounds()["rumble under a whisper"])[None]
    exact, rough = (LogMel(replace(CLAP_MEL, double=double))(sound) for double in (True, False))
    assert 1e-3 < (exact - rough).abs().max() < 20.0


def test_windows_side_by_side_are_those_alone() -> None:
    sounds = torch.from_numpy(np.stack([made_sounds()[name][:96_000] for name in ("noise", "tone", "silent")]))
    front = LogMel(CLAP_MEL)
    assert torch.allclose(front(sounds)[1:2], front(sounds[1:2]), atol=1e-4)


def test_the_gradient_passes_the_front_end_of_the_full_size() -> None:
    sound = torch.from_numpy(made_sounds()["noise"][:48_000])[None].requires_grad_()
    LogMel(CLAP_MEL)(sound).mean().backward()
    assert sound.grad is not None and sound.grad.isfinite().all() and sound.grad.abs().max() > 0


@pytest.mark.parametrize("config", [CONFIG, CLAP_MEL], ids=["starter", "full"])
def test_a_model_of_another_precision_keeps_its_front_end(config: LogMelConfig) -> None:
    sound = torch.from_numpy(made_sounds()["rumble under a whisper"][:96_000])[None]
    model = torch.nn.Sequential(LogMel(config))
    exact = model(sound)
    for change in (model.half, model.bfloat16, model.float, model.double):
        assert torch.equal(change()(sound), exact)


def test_a_mel_scale_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="mel scale 'bark' is none of kaldi, slaney"):
        LogMel(LogMelConfig(scale="bark"))


@pytest.mark.parametrize("wrong", [{"win_length": 801}, {"hop": 100}, {"win_length": 2048}])
def test_sizes_that_cannot_be_split_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="multiples of 32"):
        LogMel(LogMelConfig(**wrong))


@pytest.mark.parametrize("level", [1.0, 0.03, 0.0003])
def test_level_norm_removes_the_mean_and_sets_the_level(level: float) -> None:
    sound = level * torch.randn((1, 32_000), generator=torch.Generator().manual_seed(3)) + 0.2
    out = LevelNorm(-20.0)(sound)
    assert abs(out.mean()) < 1e-3
    assert out.square().mean().sqrt().item() == pytest.approx(0.1, rel=0.01)


def test_level_norm_keeps_silence_finite_and_limits_its_gain() -> None:
    norm = LevelNorm(-20.0, max_gain_db=70.0)
    assert (norm(torch.zeros((1, 32_000))) == 0).all()
    faint = 1e-7 * torch.sign(torch.randn((1, 32_000), generator=torch.Generator().manual_seed(4)))
    gain = norm(faint).square().mean().sqrt() / (faint - faint.mean()).square().mean().sqrt()
    assert 20 * torch.log10(gain).item() == pytest.approx(70.0, abs=0.1)


def test_each_window_is_normalised_by_itself() -> None:
    quiet, loud = (
        torch.randn((2, 1, 32_000), generator=torch.Generator().manual_seed(5))
        * torch.tensor([0.001, 1.0])[:, None, None]
    )
    together = LevelNorm()(torch.cat([quiet, loud]))
    assert torch.allclose(together[:1], LevelNorm()(quiet)) and torch.allclose(together[1:], LevelNorm()(loud))
