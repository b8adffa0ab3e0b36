"""Photos in memory, and random views of them for training."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from trainer.data.manifest import Sample
from trainer.data.media import photo
from trainer.errors import DataError
from trainer.models.vita import Vita

LEAST_AREA = 0.35  # of the picture in a random view
MARGIN = 1.15  # photos are stored a little larger than a view, so that views can be cut from them


class PictureStore:
    """Decoded photos as [3, side, side] uint8, shorter side scaled, centre square, a margin larger than a view.

    Attributes
    ----------
    samples : those that could be decoded
    undecodable : one line for each that could not, or not again
    """

    def __init__(self, samples: Sequence[Sample], size: int, done: Callable[[], None] = lambda: None) -> None:
        self.size = size
        self.samples: list[Sample] = []
        self.undecodable: list[str] = []
        kept: list[Tensor] = []
        for sample in samples:
            try:
                pixels = photo(sample, round(size * MARGIN))
            except DataError as error:
                self.undecodable.append(str(error))
                continue
            finally:
                done()
            kept.append(torch.from_numpy(pixels.astype(np.uint8)))
            self.samples.append(sample)
        self._pixels = torch.stack(kept) if kept else torch.zeros((0, 3, size, size), dtype=torch.uint8)

    def __len__(self) -> int:
        return len(self.samples)

    def centre(self, rows: Sequence[int]) -> Tensor:
        """Centre views, as on the device, [n, 3, size, size] float 0..255.

        A photo that is not there any more is scaled from what is in memory, and named in `undecodable`.
        """
        return torch.stack([self._centre(row) for row in rows])

    def _centre(self, row: int) -> Tensor:
        try:
            return torch.from_numpy(photo(self.samples[row], self.size))
        except DataError as error:
            if str(error) not in self.undecodable:
                self.undecodable.append(str(error))
            kept, size = self._pixels[row : row + 1].float(), [self.size, self.size]
            return F.interpolate(kept, size, mode="bilinear", antialias=True, align_corners=False)[0]

    def views(self, rows: Sequence[int], generator: torch.Generator) -> Tensor:
        """Random views: crop, mirror, contrast and brightness; [n, 3, size, size] float 0..255."""
        pixels = self._pixels[list(rows)].float()
        n = len(pixels)

        def draw(low: float, high: float) -> Tensor:
            drawn = torch.rand(n, generator=generator, device=generator.device).cpu()
            return drawn * (high - low) + low

        side = draw(LEAST_AREA, 1.0).sqrt()
        aspect = draw(-0.2, 0.2).exp()
        width, height = (side * aspect).clamp_max(1.0), (side / aspect).clamp_max(1.0)
        mirror = torch.where(draw(0, 1) < 0.5, -1.0, 1.0)
        theta = torch.zeros((n, 2, 3))
        theta[:, 0, 0] = width * mirror
        theta[:, 1, 1] = height
        theta[:, 0, 2] = draw(-1, 1) * (1 - width)
        theta[:, 1, 2] = draw(-1, 1) * (1 - height)
        grid = F.affine_grid(theta, [n, 3, self.size, self.size], align_corners=False)
        seen = F.grid_sample(pixels, grid, padding_mode="reflection", align_corners=False)
        contrast, light = draw(0.75, 1.25)[:, None, None, None], draw(-25.0, 25.0)[:, None, None, None]
        mean = seen.mean(dim=(1, 2, 3), keepdim=True)
        return ((seen - mean) * contrast + mean + light).clamp(0.0, 255.0)


@torch.no_grad()
def embed_pictures(model: Vita, pictures: PictureStore, device: torch.device, batch: int = 32) -> Tensor:
    """Vectors [photos, dim] of the centre views of all photos."""
    was = model.image.training
    model.image.eval()
    every = range(len(pictures))
    vectors = [model.image(pictures.centre(every[start : start + batch]).to(device)) for start in every[::batch]]
    model.image.train(was)
    return torch.cat(vectors) if vectors else torch.zeros((0, model.dim), device=device)


class MemoryVectors:
    """`trainer.data.vectors.Vectors` in memory."""

    def __init__(self, vectors: Tensor) -> None:
        self.vectors = vectors
        self.rows = np.arange(len(vectors))

    def take(self, rows: np.ndarray) -> Tensor:
        """Vectors [n, dim] of some rows."""
        return self.vectors[torch.from_numpy(np.asarray(rows))]
