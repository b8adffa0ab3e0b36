"""Photos of one colour for each species, and a photo network with random features that knows some of these species."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from PIL import Image

from tests.trainer.tiny import IMAGE_SIZE, save_image_weights
from tests.trainer.trunk import classes
from trainer.models.mobilenet import MobileNetImage, load_given
from trainer.trunk.photo_network import LABELS, NETWORK

KNOWN = (0, 5, 26, 31)  # species that the network knows, of the first two families
LACKED = (74, 77, 90)  # of the last family, and the only ones of the last order
SIDE = 96


def picture(species: int, piece: int) -> np.ndarray:
    """RGB [SIDE, SIDE, 3] uint8: stripes of two colours of the species, in noise of the piece."""
    rng = np.random.default_rng(species)
    first, second = rng.integers(0, 256, (2, 3))
    stripe = (np.arange(SIDE) // (4 + species % 7)) % 2
    plain = np.where(stripe[:, None, None] > 0, first, second) + np.zeros((SIDE, SIDE, 1))
    noise = np.random.default_rng([species, piece]).integers(-25, 26, plain.shape)
    return (plain + noise).clip(0, 255).astype(np.uint8)


def write_photos(folder: Path, each: int = 3) -> Path:
    """Photos of all species, and one recording, without which a manifest is none; their manifest."""
    manifest = classes.write_recordings(folder, [classes.taxa()[KNOWN[0]].scientific_name], each=1)
    with manifest.open("a", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        for species in (*KNOWN, *LACKED):
            name = classes.taxa()[species].scientific_name
            for piece in range(each):
                path = folder / f"{species}_{piece}.png"
                Image.fromarray(picture(species, piece)).save(path)
                line = ("image", path.name, name, "tests", f"photo {name} {piece}", *classes.place_of(name))
                writer.writerow(line)
    return manifest


def write_network(folder: Path) -> Path:
    """A photo network whose last layer tells the known species apart, with a label that is no taxon of the pack."""
    folder.mkdir(parents=True)
    torch.manual_seed(0)
    path = folder / NETWORK
    save_image_weights(path)
    trunk = MobileNetImage().eval()
    load_given(trunk, path)
    pixels = [Image.fromarray(picture(species, 9)).resize((IMAGE_SIZE, IMAGE_SIZE)) for species in KNOWN]
    stacked = torch.from_numpy(np.stack([np.asarray(one, np.float32) for one in pixels]).transpose(0, 3, 1, 2))
    with torch.no_grad():
        means = trunk(stacked).numpy()
    ways = means - means.mean(axis=0)
    ways *= 12.0 / (ways**2).sum(axis=1, keepdims=True)
    weights = np.concatenate([ways, np.zeros_like(ways[:1])])
    bias = np.append(-(ways * means.mean(axis=0)).sum(axis=1), -50.0)
    model = onnx.load(str(path))
    model.graph.initializer.append(numpy_helper.from_array(weights.astype(np.float32), "w52"))
    model.graph.initializer.append(numpy_helper.from_array(bias.astype(np.float32), "b52"))
    onnx.save(model, str(path))
    labels = [f"{classes.taxa()[species].scientific_name} (A Bird)" for species in KNOWN]
    (folder / LABELS).write_text("\n".join([*labels, "Nullus ignotus (No Bird)"]) + "\n", encoding="utf-8")
    return folder
