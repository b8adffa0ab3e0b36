"""The occurrence model of a pack, run for one place in all weeks of the year."""

from __future__ import annotations

import numpy as np

from edgeapp.clock.weeks import WEEKS
from edgeapp.errors import PackError
from edgeapp.pack.format import Pack
from edgeapp.runtime.graph import model_path
from edgeapp.runtime.ort import first_line

WHOLE_YEAR = -1.0  # as BirdNET gives it to its model, which then leaves the week out of account
REMEDY = "reinstall the pack"


def occurrence(pack: Pack, latitude: float, longitude: float) -> tuple[list[str], np.ndarray]:
    """How often each species is expected at a place.

    The model is run once for all weeks and not kept: it takes more memory than all that it says of a place.

    Parameters
    ----------
    pack : Pack
    latitude, longitude : float
        Degrees, WGS 84.

    Returns
    -------
    names : list of str
        Scientific names of the outputs, empty for an output that is no species.
    values : numpy.ndarray
        ``[1 + WEEKS, n_names]`` float32 from 0 to 1: row 0 is of the whole year, row w of BirdNET's week w.

    Raises
    ------
    PackError
        The pack has no such model, or it cannot be loaded or run, or gives something else than occurrence.
    """
    if pack.range is None:
        raise PackError(
            f"pack {pack.name} {pack.version} has no occurrence model", "use one that has, such as birdnet, with --pack"
        )
    names = _names(pack, pack.range.taxa)
    weeks = np.r_[WHOLE_YEAR, 1 : WEEKS + 1].astype(np.float32)
    places = np.column_stack([np.full(len(weeks), latitude), np.full(len(weeks), longitude), weeks])
    values = _run(pack, pack.range.file, places.astype(np.float32))
    if values.shape != (len(weeks), len(names)):
        what = f"gave {list(values.shape)} values, not [{len(weeks)}, {len(names)}]"
        raise PackError(f"{pack.path(pack.range.file)}: {what} for {len(weeks)} weeks and the taxa", REMEDY)
    if not (np.isfinite(values).all() and values.min(initial=0.0) >= 0 and values.max(initial=0.0) <= 1):
        raise PackError(f"{pack.path(pack.range.file)}: gave values that are not between 0 and 1", REMEDY)
    return names, values


def _run(pack: Pack, file: str, places: np.ndarray) -> np.ndarray:
    try:
        import onnxruntime
    except ImportError:
        raise PackError("ONNX Runtime is not installed", "pip install 'biovita-edge[cpu]'") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.enable_cpu_mem_arena = False  # one run: what it took is given back
    try:
        session = onnxruntime.InferenceSession(model_path(pack.path(file)), options, providers=["CPUExecutionProvider"])
        [given] = session.get_inputs()
        return np.asarray(session.run(None, {given.name: places})[0], np.float32)
    except Exception as error:  # ONNX Runtime's errors share no public base class
        raise PackError(f"{pack.path(file)}: cannot be run ({first_line(error)})", REMEDY) from None


def _names(pack: Pack, file: str) -> list[str]:
    try:
        text = pack.path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = (error.strerror if isinstance(error, OSError) else "") or "it is not UTF-8 text"
        raise PackError(f"{pack.path(file)}: cannot be read ({reason})", REMEDY) from None
    return [line.strip() for line in text.removesuffix("\n").split("\n")]
