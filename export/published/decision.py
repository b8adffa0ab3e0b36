"""Decision parameters fitted on recordings that are heard through a pack."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edgeapp.board.machine import available_cores
from edgeapp.pack.format import Pack
from edgeapp.progress_bar import progress
from export.published.steps import Steps
from gallery import DecisionParameters, Index, Taxon
from trainer import calibrate
from trainer.calibrate import FITTED, REPORTED, fit, report
from trainer.data.manifest import Sample
from trainer.data.material import MAX_EVALUATED, some
from trainer.data.stream import SoundFiles
from trainer.heard import Heard, field_noise, hear, hear_mixtures, hear_noise
from trainer.trunk.recordings import PackAudio

PIECE = 32  # recordings whose vectors are kept together
HEARD, SKIPPED = "heard.npz", "skipped.json"
CPU = torch.device("cpu")


def fitted(
    steps: Steps,
    pack: Pack,
    names: np.ndarray,
    taxa: Sequence[Taxon],
    samples: Sequence[Sample],
    field: Path | None,
    report_skipped: Callable[[Sequence[str]], None],
) -> tuple[DecisionParameters, dict[str, Any]]:
    """Parameters fitted on recordings, heard through the pack as on the device, and their metrics.

    Parameters
    ----------
    names : [taxa, dim] sum of the vectors of each taxon's prompts
    field : folder of field noise for mixtures; None for none
    """
    spec, threads = pack.audio, available_cores()
    tower = PackAudio(pack, threads)
    skipped: list[str] = []  # of the step that is being done
    told: list[str] = []  # of all of them

    def sounds(part: Sequence[Sample]) -> SoundFiles:
        return SoundFiles(part, spec.rate_hz, 0, spec.pad, spec.resampler, offset=spec.offset)

    def kept(name: str, key: str, make: Callable[[], Heard]) -> Heard:
        def write(folder: Path) -> None:
            skipped.clear()
            save(folder / HEARD, make())
            (folder / SKIPPED).write_text(json.dumps(skipped), encoding="utf-8")

        folder = steps.step(name, f"{pack.files[spec.file]} {key}", write)
        told.extend(json.loads((folder / SKIPPED).read_text(encoding="utf-8")))
        return load(folder / HEARD)

    def piece(part: Sequence[Sample]) -> Heard:
        store = sounds(part)
        found = hear(tower, store, spec.cutting, CPU, bar)
        skipped.extend([*store.undecodable, *store.damaged])
        return found

    def mixed(seed: int) -> Heard:
        few = some(samples, MAX_EVALUATED)  # which are in memory together
        return hear_mixtures(
            tower, sounds(few), noisy, spec.window_samples, calibrate.MIXTURES, seed, CPU, spec.pad, bar
        )

    noisy = field_noise(field, spec.rate_hz)
    with progress("calibration", len(samples) + 2 * calibrate.MIXTURES) as bar:
        parts = [samples[at : at + PIECE] for at in range(0, len(samples), PIECE)]
        heard = joined(
            [kept(f"recordings-{n:04d}", key_of(part), partial(piece, part)) for n, part in enumerate(parts)]
        )
        key = f"{key_of(samples)} {field} {calibrate.MIXTURES}"
        mixtures = [kept(f"mixtures-{seed}", key, partial(mixed, seed)) for seed in (FITTED, REPORTED)]
    noise = kept("noise", "", lambda: hear_noise(tower, spec.window_samples, 0, CPU))
    report_skipped(told)
    index = Index(taxa, {"text": names})
    parameters = fit(index, heard, mixtures[0], noise)
    return parameters, report(index, parameters, heard, mixtures[1], noise)


def key_of(samples: Sequence[Sample]) -> str:
    """What the vectors of recordings depend on: their files, and their taxa."""
    digest = hashlib.sha256()
    for one in samples:
        status = one.path.stat() if one.path.exists() else None
        file = (status.st_size, status.st_mtime_ns) if status else None
        digest.update(repr((str(one.path), one.offset, one.size, one.taxon, file)).encode())
    return digest.hexdigest()


def save(path: Path, heard: Heard) -> None:
    """Write window vectors and levels of recordings."""
    lengths = np.array([len(levels) for levels in heard.levels], np.int64)
    np.savez(
        path,
        vectors=np.concatenate(heard.windows),
        levels=np.concatenate(heard.levels),
        lengths=lengths,
        taxon=heard.taxon,
    )


def load(path: Path) -> Heard:
    """The inverse of `save`."""
    with np.load(path) as file:
        ends = np.cumsum(file["lengths"])[:-1]
        return Heard(np.split(file["vectors"], ends), np.split(file["levels"], ends), file["taxon"])


def joined(pieces: Sequence[Heard]) -> Heard:
    """Several sets of recordings as one."""
    return Heard(
        [windows for one in pieces for windows in one.windows],
        [levels for one in pieces for levels in one.levels],
        np.concatenate([one.taxon for one in pieces]),
    )
