"""Perceptually even colour maps for spectrograms, for dark and for light surroundings.

Each is a curve through OKLCh (Ottosson, "A perceptual color space for image processing", 2020), the polar form of
OKLab, cut into steps of equal length, so that equal differences of level look equal and lightness alone already orders
them.
"""

from __future__ import annotations

from functools import cache

import numpy as np

SHADES = 256
FINE = 4096  # points of the curve before it is cut into equal steps

# OKLCh at equal distances along the curve: lightness 0 to 1, chroma, hue in degrees.
DARK = ((0.16, 0.03, 285), (0.36, 0.13, 285), (0.56, 0.15, 350), (0.76, 0.15, 55), (0.97, 0.09, 105))
LIGHT = ((0.985, 0.01, 230), (0.83, 0.08, 225), (0.64, 0.12, 245), (0.45, 0.14, 275), (0.22, 0.09, 300))

# OKLab -> cone responses (cube roots) -> linear sRGB, from the same source.
TO_CONES = np.array(
    [
        [1.0, 0.3963377774, 0.2158037573],
        [1.0, -0.1055613458, -0.0638541728],
        [1.0, -0.0894841775, -1.2914855480],
    ]
)
TO_LINEAR = np.array(
    [
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.7076147010],
    ]
)


@cache
def colour_map(dark: bool = True) -> np.ndarray:
    """Colours of 256 shades, from no sound to the loudest: [256, 3] uint8, sRGB.

    Parameters
    ----------
    dark : bool
        From nearly black to bright, for dark surroundings; otherwise from nearly white to dark.
    """
    curve = _oklab(np.array(DARK if dark else LIGHT))
    lengths = np.concatenate(([0.0], np.cumsum(np.linalg.norm(np.diff(curve, axis=0), axis=1))))
    equal = np.linspace(0, lengths[-1], SHADES)
    even = np.stack([np.interp(equal, lengths, part) for part in curve.T], axis=1)
    colours: np.ndarray = np.round(_srgb(even) * 255).astype(np.uint8)
    colours.setflags(write=False)
    return colours


def _oklab(stops: np.ndarray) -> np.ndarray:
    """A fine curve through OKLCh stops, [n_stops, 3] -> [FINE, 3] OKLab; straight in OKLab between them."""
    lightness, chroma, hue = stops.T
    angle = np.radians(hue)
    lab = np.stack((lightness, chroma * np.cos(angle), chroma * np.sin(angle)), axis=1)
    at = np.linspace(0, len(stops) - 1, FINE)
    return np.stack([np.interp(at, np.arange(len(stops)), part) for part in lab.T], axis=1)


def _srgb(lab: np.ndarray) -> np.ndarray:
    """OKLab -> sRGB, 0 to 1; what lies outside is clipped."""
    linear = np.clip((lab @ TO_CONES.T) ** 3 @ TO_LINEAR.T, 0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
