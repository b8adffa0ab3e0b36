"""The published weights to a pack: checkpoint, graphs, names, decision parameters and gallery, each step kept."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from edgeapp.pack.format import PACK_FILE, PACK_GALLERY, Pack, adopt_gallery, rewritten, sha256
from export.decision import from_scale
from export.folder import new_pack, refuse_other
from export.graphs import export_image, export_text
from export.inputs import Inputs, calibration_split, example_inputs, read_inputs, spread
from export.lowerings import export_audio
from export.pack import AUDIO, IMAGE, TEXT, Label, write_pack
from export.precision import Precision
from export.published.decision import fitted
from export.published.names import name_vectors
from export.published.recordings import labelled
from export.published.steps import Steps
from gallery import Entry, Taxon, read_taxa, starter_taxa
from gallery.store import build
from trainer import checkpoint
from trainer.checkpoint import Checkpoint
from trainer.data.manifest import default_manifest, read_manifest
from trainer.hub import pinned
from trainer.imported import import_weights
from trainer.published import files_of

CHECKED_TAXA = 40  # whose prompts are compared
GRAPHS = {AUDIO: export_audio, TEXT: export_text, IMAGE: export_image}
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Request:
    """What is to be made of what.

    Attributes
    ----------
    source : hub repository or folder in the published layout
    taxa : species table; None for the project's
    out : folder of the pack
    work : folder of the steps
    precision, label, card : of the pack
    recordings : to fit decision parameters on; None for parameters from the logit scale
    data : manifest of samples to check the graphs on; None for the bundled example
    field : folder of field noise for mixtures; None for none
    """

    source: str
    taxa: Path | None
    out: Path
    work: Path
    precision: Precision
    label: Label
    card: Path | None = None
    recordings: Path | None = None
    data: Path | None = None
    field: Path | None = None


class PublishedPack:
    """The steps from published weights to a pack.

    Parameters
    ----------
    tell : called with a line for each step
    failed : called with lines for inputs that cannot be used
    """

    def __init__(self, request: Request, tell: Tell, failed: Callable[[Sequence[str]], None]) -> None:
        self.request, self.tell, self.failed = request, tell, failed
        self.taxa: list[Taxon] = read_taxa(request.taxa) if request.taxa else starter_taxa()
        # Before hours of work: what can be refused now.
        refuse_other(request.out)
        self.samples = labelled(request.recordings, self.taxa, tell) if request.recordings else None
        self.steps = Steps(request.work, tell)

    @cached_property
    def checkpoint(self) -> Checkpoint:
        """The imported weights, loaded when a step needs them."""
        return checkpoint.load(self.folder)

    @cached_property
    def folder(self) -> Path:
        """The checkpoint with the imported weights."""
        source = self.request.source
        self.tell(f"{source}: find the files")
        files = files_of(source)
        if pinned(source, files[0]) != source:
            self.tell(f"{source}: using its newest commit; to repeat this run give {pinned(source, files[0])}")
        marks = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files]
        names = [taxon.scientific_name for taxon in self.taxa]
        key = hashlib.sha256(repr((marks, names)).encode()).hexdigest()
        table = self.request.taxa

        def make(folder: Path) -> None:
            import_weights(source, folder, table)

        return self.steps.step("checkpoint", key, make, "import the weights")

    @cached_property
    def space(self) -> str:
        """That of the checkpoint's vectors."""
        return self.steps.digest(self.folder.name, checkpoint.WEIGHTS)[:16]  # the folder is the result of a step

    def make(self) -> Pack:
        """Do every step that has not been done; the pack is put in place last."""
        bare = self.bare()
        names, sums = self.names()
        decision, metrics = bare.decision, dict(bare.metrics)
        if self.samples is not None:
            self.tell(f"calibrate: {len(self.samples)} recordings")
            decision, metrics = fitted(self.steps, bare, sums, self.taxa, self.samples, self.request.field, self.failed)
        self.tell(f"gallery: names of {len(self.taxa)} taxa")
        with new_pack(self.request.out) as folder:
            for name in (*bare.files, PACK_FILE):
                shutil.copyfile(bare.path(name), folder / name)
            described = replace(bare, folder=folder, decision=decision, metrics=metrics)
            rewritten(replace(described, calibrated=self.samples is not None))
            with build(folder / PACK_GALLERY, bare.identity) as gallery:
                gallery.add_taxa(self.taxa)
                gallery.add_entries(names)
            adopt_gallery(Pack.load(folder))
        return Pack.load(self.request.out)

    def bare(self) -> Pack:
        """The pack without a gallery, with parameters from the logit scale, its graphs checked."""
        request = self.request
        graphs = {name: self.graph(name) for name in GRAPHS}
        files = [path and sha256(path) for path in (request.card, request.data)]
        used = [request.label, request.precision.name, *files, self.space]
        key = hashlib.sha256(repr([*used, sha256(self.folder / checkpoint.CONFIG)]).encode()).hexdigest()

        def make(into: Path) -> None:
            inputs, *calibrating = self.inputs()
            loaded = self.checkpoint
            decision, metrics = from_scale(loaded.model)
            write_pack(
                into / "pack",
                loaded,
                decision,
                request.label,
                inputs,
                metrics,
                request.card,
                request.precision,
                calibrating=next(iter(calibrating), None),
                graphs=graphs,
                calibrated=False,
            )

        return Pack.load(self.steps.step("pack", key, make, f"check the graphs in {request.precision.name}") / "pack")

    def graph(self, name: str) -> Path:
        """A graph in float32."""

        def make(folder: Path) -> None:
            loaded = self.checkpoint
            GRAPHS[name](loaded.model.cpu(), loaded.config.preset, folder / name)

        return self.steps.step(name.partition(".")[0], self.space, make, f"export {name}") / name

    def names(self) -> tuple[list[Entry], np.ndarray]:
        """Entries of all names, and the sum of each taxon's vectors."""
        return name_vectors(self.steps, self.space, lambda: self.checkpoint, self.taxa)

    def inputs(self) -> list[Inputs]:
        """Inputs to check the graphs on and, for a precision below float32, others to calibrate on."""
        request, preset = self.request, self.checkpoint.config.preset
        checked = spread(self.taxa, CHECKED_TAXA)
        if request.data is None and request.precision.lower is None:
            return [example_inputs(preset, checked)]
        manifest = read_manifest(request.data or default_manifest(), None if request.data else starter_taxa())
        parts = [manifest] if request.precision.lower is None else calibration_split(manifest)[::-1]
        every = [replace(read_inputs(part, preset), taxa=checked) for part in parts]
        self.failed([*manifest.missing, *(line for one in every for line in one.failed)])
        return every
