"""Agreement of the starter pack in fp16 and int8, on every provider, with fp32 on the CPU."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.gpu_steps.plan import STEPS, Settings, missing
from benchmarks.gpu_steps.providers import offered
from benchmarks.gpu_steps.result import Missing, Report
from benchmarks.gpu_steps.runs import load, packs
from benchmarks.gpu_steps.sounds import heard
from benchmarks.precision import texts_of, vectors_and_names
from export.agreement import agree, require
from export.parity import cosines
from export.precision import PRECISIONS

MOST = 120  # recordings


def tensorrt_here() -> None:
    """Check that TensorRT is installed.

    Raises
    ------
    Missing
        It is not.
    """
    if lacks := missing(next(step for step in STEPS if step.name == "engines")):
        raise Missing(f"{', '.join(lacks)} missing")


# Ways of running the audio encoder, each with a check that it is available.
WAYS: dict[str, Callable[[], None]] = {
    "cpu": lambda: offered("cpu"),
    "cuda": lambda: offered("cuda"),
    "tensorrt": lambda: offered("tensorrt"),
    "engine": tensorrt_here,
}


def run(settings: Settings, report: Report) -> None:
    """Compare every precision on every provider with fp32 on the CPU."""
    starters = {name.removeprefix("starter-"): at for name, at in packs(settings) if name.startswith("starter-")}
    fp32 = load(starters["fp32"])
    sounds = heard(settings, fp32.audio.rate_hz, fp32.audio.window_s, 4 if settings.tiny else MOST)
    texts = texts_of(fp32)  # the others have the same text encoder
    wanted, names = vectors_and_names(fp32, sounds.checking, texts)
    for way, look in WAYS.items() if settings.device == "cuda" else [("cpu", WAYS["cpu"])]:
        for called, folder in starters.items():
            with report.measuring(f"{called} on {way}") as figures:
                look()
                given, found = vectors_and_names(load(folder), sounds.checking, texts, way)
                agreement = agree(sounds.checking, names, found)
                figures |= {"same_species": agreement.share, "recordings": agreement.recordings}
                figures |= {"sounds": sounds.said, "least_cosine": float(cosines(wanted, given).min())}
                require(agreement, PRECISIONS[called].names)
