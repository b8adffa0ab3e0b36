"""Confidences of a BirdNET pack compared with those of the public file: the same windows, every class.

    python benchmarks/birdnet_confidences.py --model BirdNET_GLOBAL_6K_V2.4_Model_FP32.tflite --pack birdnet \
        --recordings ../shared/starter/audio --minutes 30

Recordings are concatenated to `--minutes` of sound and cut into 3-s windows without overlap. The public file is run by
`ai-edge-litert`; a sigmoid turns its logits into confidences, as in BirdNET. The pack is evaluated through
`gallery.recognise` with its class vectors alone, which has to give the same confidences. Prints the largest difference
over all classes and windows; exit status 1 if it exceeds 0.01.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from edgeapp.audio.file import FileSource
from edgeapp.audio.resample import resampled
from edgeapp.errors import AudioError
from edgeapp.pack.installed import load_pack
from edgeapp.runtime.encoders import AudioEncoder
from gallery import Gallery, Index, Vocabulary, recognise

MOST = 0.01
LOUD_DBFS = 0.0  # above every silence level: BirdNET evaluates every window


def sound(folder: Path, rate_hz: int, samples: int) -> np.ndarray:
    """The recordings of a folder concatenated, [samples]; repeated from the first if they are too short."""
    parts: list[np.ndarray] = []
    while True:
        for path in sorted(path for path in folder.rglob("*") if path.suffix in (".mp3", ".flac", ".wav", ".ogg")):
            try:
                parts += [block.samples for block in resampled(FileSource(path), rate_hz).blocks()]
            except AudioError as error:
                print(error)
            if sum(map(len, parts)) >= samples:
                return np.concatenate(parts)[:samples]


def public(model: Path, windows: np.ndarray) -> Iterator[np.ndarray]:
    """Confidences [classes] of the public file for each window."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(model))
    interpreter.allocate_tensors()
    [given], [got] = interpreter.get_input_details(), interpreter.get_output_details()
    for window in windows:
        interpreter.set_tensor(given["index"], window[None])
        interpreter.invoke()
        yield 1.0 / (1.0 + np.exp(-interpreter.get_tensor(got["index"])[0].astype(np.float64)))


def main() -> int:
    """Compare, and print the largest difference."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--pack", default="birdnet")
    parser.add_argument("--recordings", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=30.0)
    asked = parser.parse_args()

    pack = load_pack(asked.pack)
    size = pack.audio.window_samples
    count = round(60 * asked.minutes / pack.audio.window_s)
    windows = sound(asked.recordings, pack.audio.rate_hz, count * size).reshape(count, size)
    with Gallery.open(pack.gallery_path()) as gallery:
        whole = Index.of(gallery, pack.decision)
    classes = Vocabulary(Index(whole.taxa, {}, class_vectors=whole.class_vectors), pack.decision)
    names = pack.path(pack.range.taxa).read_text(encoding="utf-8").splitlines() if pack.range else []
    columns = [names.index(taxon.scientific_name) for taxon in classes.taxa]

    encoder, largest, first = AudioEncoder(pack), 0.0, 0
    for window, wanted in zip(windows, public(asked.model, windows)):
        [found] = recognise(encoder.encode(window[None]), [LOUD_DBFS], classes)
        largest = max(largest, float(np.abs(found.confidences - wanted[columns]).max()))
        first += int(found.confidences.argmax() == wanted[columns].argmax())
    print(f"{count} windows, {len(columns)} classes: largest difference {largest:.4f}, same first class in {first}")
    return int(largest > MOST)


if __name__ == "__main__":
    raise SystemExit(main())
