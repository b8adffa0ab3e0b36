"""Stage 2 with the settings of the released code: what a batch consists of, and how its losses are weighed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from torch import Tensor

from gallery import read_taxa
from tests.libraries import needs
from tests.trainer import published
from tests.trainer.tiny import SPECIES, Tiny
from trainer.bank import TextBank
from trainer.data.manifest import Manifest
from trainer.data.pictures import MemoryVectors
from trainer.data.samples import taxa_of
from trainer.data.stream import SoundFiles
from trainer.models.bioclip import clip_tokenizer
from trainer.models.clap import ClapTower
from trainer.models.vita import Vita
from trainer.presets import BIOVITA, with_settings, with_towers
from trainer.published import Sources, open_sources
from trainer.ranks import Ranks
from trainer.stages import AudioTextImage, Batch

pytestmark = needs("transformers", "open_clip")

CPU = torch.device("cpu")
TOAD = SPECIES.index("Bufo bufo")  # has no photo
Make = Callable[..., AudioTextImage]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> tuple[object, Vita]:
    folder = tmp_path_factory.mktemp("sources")
    clap, clip = published.write_clap(folder / "clap"), published.write_clip(folder / "clip")
    torch.manual_seed(0)
    return open_sources(Sources(str(clap), str(clip)))


@pytest.fixture(scope="module")
def make(model: tuple[object, Vita], tiny: Tiny, manifest: Manifest) -> Make:
    """A stage with some settings."""
    towers, vita = model
    bank = TextBank(read_taxa(tiny.taxa), clip_tokenizer(77))
    order = {name: row for row, name in enumerate(taxon.scientific_name for taxon in manifest.taxa)}
    assert list(order) == list(SPECIES)
    photos = taxa_of(manifest.photos)
    vectors = MemoryVectors(torch.nn.functional.normalize(torch.randn(len(photos), vita.dim), dim=-1))

    def made(*settings: str) -> AudioTextImage:
        preset = with_towers(with_settings(BIOVITA, "2", ["epochs=20", *settings]), towers)  # type: ignore[arg-type]
        sounds = SoundFiles(manifest.recordings, 48_000, 0, preset.pad)
        return AudioTextImage("2", vita, preset, bank, sounds, vectors, photos, CPU, seed=3)

    return made


def plan(stage: AudioTextImage, epoch: int) -> list[list[int]]:
    return stage.plan(np.random.default_rng([1, epoch]), Ranks())


def taxa_in(stage: AudioTextImage, batches: list[list[int]]) -> set[int]:
    return {int(stage.taxon[row]) for batch in batches for row in batch}


def test_species_without_photos_are_kept_or_dropped(make: Make) -> None:
    kept, dropped = make("batch=4"), make("batch=4", "photoless=drop")
    assert TOAD in taxa_in(kept, plan(kept, 0))
    assert TOAD not in taxa_in(dropped, plan(dropped, 0)) and len(taxa_in(dropped, plan(dropped, 0))) == 3


def test_fixed_triplets_are_the_same_in_every_epoch(make: Make) -> None:
    fixed = make("batch=4", "triplets=fixed", "photoless=drop", "most_per_taxon=6")
    drawn = make("batch=4", "photoless=drop", "most_per_taxon=3")
    first, second = ([plan(stage, epoch) for epoch in (0, 1)] for stage in (fixed, drawn))
    rows = [sorted(row for batch in epoch for row in batch) for epoch in first]
    assert rows[0] == rows[1] and first[0] != first[1] and len(rows[0]) == 3 * 6
    assert sorted(sum(second[0], [])) != sorted(sum(second[1], []))


def batch_of(stage: AudioTextImage, number: int) -> Batch:
    rows = plan(stage, 0)[number]
    sound = 0.1 * np.random.default_rng(number).standard_normal((len(rows), 480_000)).astype(np.float32)
    return Batch(rows, len(rows), slice(0, len(rows)), np.random.default_rng(5), sound, number)


def sides(stage: AudioTextImage, batch: Batch) -> tuple[Tensor, Tensor]:
    """The photos that a batch is compared with, seen by unit vectors, and its names."""
    taxa = torch.from_numpy(stage.taxon[batch.rows])
    eye = torch.eye(stage.model.dim)[: len(batch.rows)]
    targets = torch.nn.functional.one_hot(taxa, stage.bank.taxa).float()
    names = stage.names(batch, targets, taxa, torch.Generator())
    _, to_image, _ = stage.batch_sides(batch, [eye], targets, taxa, names)
    return to_image.similarity, names.texts


@torch.no_grad()
def test_a_fixed_triplet_keeps_its_photo_and_its_prompt(make: Make) -> None:
    stage = make("batch=4", "triplets=fixed", "photoless=drop", "most_per_taxon=4")
    batch = batch_of(stage, 1)
    photos, texts = sides(stage, batch)
    assert stage.fixed is not None
    planned = stage.planned[1]
    wanted = stage.photos.take(stage.fixed.photo[planned])[:, : len(batch.rows)].T
    assert torch.equal(photos, wanted)
    later = Batch(batch.rows, batch.size, batch.part, np.random.default_rng(99), batch.sound, 1)
    again = sides(stage, later)
    assert torch.equal(photos, again[0]) and torch.equal(texts, again[1])
    free = make("batch=4")
    one, other = batch_of(free, 1), batch_of(free, 1)
    other = Batch(one.rows, one.size, one.part, np.random.default_rng(99), one.sound, 1)
    assert not torch.equal(sides(free, one)[1], sides(free, other)[1])


def test_only_the_first_photos_of_a_species_are_drawn(make: Make) -> None:
    stage, every = make("most_photos=2"), make()
    for taxon in range(len(SPECIES)):
        assert stage.of_taxon.of(taxon).tolist() == every.of_taxon.of(taxon)[:2].tolist()


def test_the_weights_of_both_losses_can_rise_in_steps(make: Make) -> None:
    stage = make("aic_steps=600", "itc_steps=300", "mix_epochs=2")
    stage.aligned = 150
    assert stage.weight(9.0, 600) == pytest.approx(0.025) and stage.weight(9.0, 300) == pytest.approx(0.05)
    assert stage.weight(3.0, 0) == pytest.approx(0.05)  # half of the two epochs after mixing
    _, metrics = stage.loss(batch_of(make("batch=2"), 0), 2.5, torch.Generator())
    assert metrics["lambda"] == pytest.approx(0.025) and metrics["lambda_itc"] == pytest.approx(0.05)
    assert stage.aligned == 151 and stage.state()["aligned"] == 151
    other = make()
    other.restore(stage.state())
    assert other.aligned == 151


def gradients(stage: AudioTextImage, epoch: float) -> tuple[bool, bool]:
    """Whether the text tower and the scale have a gradient."""
    vita = stage.model
    vita.zero_grad(set_to_none=True)
    loss, _ = stage.loss(batch_of(stage, 0), epoch, torch.Generator())
    loss.backward()
    text = any(parameter.grad is not None for parameter in vita.text.parameters())
    return text, vita.logit_scale.grad is not None


def test_while_mixing_text_and_scale_are_trained_only_if_told_so(make: Make) -> None:
    frozen = make("batch=2", "mix_epochs=1", "temperature=0.2")
    free = make("batch=2", "mix_epochs=1", "temperature=0.2", "mix_text=true", "mix_scale=true")
    assert gradients(frozen, 0.0) == (False, False) and gradients(free, 0.0) == (True, True)
    assert gradients(free, 1.0) == (True, False)
    assert not frozen.scales() and free.scales()


@pytest.mark.parametrize("updates", [True, False])
def test_batch_norm_keeps_or_updates_its_statistics(updates: bool, tmp_path: Path) -> None:
    published.write_clap(tmp_path / "clap")
    published.write_clip(tmp_path / "clip")
    tower = cast(ClapTower, open_sources(Sources(str(tmp_path / "clap"), str(tmp_path / "clip")))[1].audio)
    tower.batch_statistics = updates
    tower.train()
    before = tower.clap.audio_model.audio_encoder.batch_norm.running_mean.clone()
    tower(0.1 * torch.randn(2, 480_000))
    assert torch.equal(before, tower.clap.audio_model.audio_encoder.batch_norm.running_mean) != updates
