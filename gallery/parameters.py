"""Decision parameters: how similarities become confidences, fitted on held-out sound for one pack and gallery."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np

from gallery.errors import GalleryError

LARGEST = 1e30  # of a scale, bias or weight: more would overflow in float32
LARGEST_ODDS = 80.0  # against a taxon: float32 knows no larger exponential
UNBOUNDED = 1e9  # logits, by which nothing is ever lowered; JSON knows no infinity
PURSUIT, INDEPENDENT, SHARED = RULES = ("pursuit", "independent", "shared")


@dataclass(frozen=True)
class DecisionParameters:
    """How similarities become confidences and detections; see `gallery.recognise` for the formulas.

    Attributes
    ----------
    scale : dict[str, float]
        Modality to multiplier of the cosine.
    bias : dict[str, float]
        Modality to what is added after scaling, which lets modalities with different levels of similarity meet.
    weight : dict[str, float]
        Modality to its share when a taxon has several.
    null_logit : float
        Logit of "nothing known here", which competes with the taxa.
    slope, offset : float
        Log-odds of a taxon against its competitors to log-odds that it is there (Platt scaling).
    threshold : float
        Least confidence of a species that is detected.
    floor : float
        Least summed probability of a group above the species.
    evidence : float
        How many times the odds of a group above the species must exceed its odds in the gallery: in a gallery of birds
        every noise is "a bird" by its summed probability alone. 0 asks for none.
    silence_dbfs : float
        Windows below this RMS level hold nothing and are not encoded.
    pool_windows : int
        Windows of a recording that a taxon's confidence for the recording is the mean of.
    rule : str
        How the taxa of a window are told apart: ``pursuit`` where the space only says what is similar to what,
        ``independent`` where its logits were trained to be right beside one another, as those of a classifier of many
        labels are, ``shared`` where they were trained to share one confidence, as by a softmax.
    beside_class : dict[str, float]
        Modality to its weight for a taxon that has a class vector, whose own weight is 1; 0 when not given. A logit of
        a class vector alone is the classifier's own.
    class_entries : float
        Recordings that the direction of a class vector counts as in the mean of its taxon's recordings: the fewer
        there are, the more the mean is drawn to where the classifier expects the taxon. 0 keeps the mean as it is.
    class_scale, class_bias, class_count : float
        Of n recordings beside a class vector, as a linear discriminant (Fisher, 1936): ``class_scale (m v - m m / 2) +
        class_bias + class_count log(1 + n)`` with a window's unit vector v and the mean m of their unit vectors and
        `class_entries` times the class vector's direction. The fewer there are, and the less they agree, the shorter is
        m. With a class_scale of 0 they count by their cosine, scale and bias, as where there is no class vector.
    class_lowered : float
        Most by which the entries of a taxon lower the logit of its class vector.
    quality_mean, quality_length, quality_bias : float
        Quality of a window, ``quality_mean m + quality_length l + quality_bias`` with the mean m of the logits of all
        class vectors and the length l of the window's vector, which is added to the logits of taxa with recordings
        (quality measures in calibration: Mandasari, Saeidi, McLaren and van Leeuwen, IEEE Transactions on Audio,
        Speech, and Language Processing, 2013). A cosine is lower where two animals sing than where one does, and
        noise is as far from everything; the classifier tells these apart.
    """

    scale: dict[str, float]
    bias: dict[str, float]
    weight: dict[str, float]
    null_logit: float
    slope: float
    offset: float
    threshold: float
    floor: float
    evidence: float
    silence_dbfs: float
    pool_windows: int
    rule: str = PURSUIT
    beside_class: dict[str, float] = field(default_factory=dict)
    class_entries: float = 0.0
    class_scale: float = 0.0
    class_bias: float = 0.0
    class_lowered: float = UNBOUNDED
    class_count: float = 0.0
    quality_mean: float = 0.0
    quality_length: float = 0.0
    quality_bias: float = 0.0

    def __post_init__(self) -> None:
        modalities = [set(self.scale), set(self.bias), set(self.weight)]
        numbers = (
            *self.scale.values(),
            *self.bias.values(),
            *self.weight.values(),
            self.null_logit,
            self.offset,
            self.silence_dbfs,
            self.class_bias,
            self.class_count,
            self.quality_mean,
            self.quality_length,
            self.quality_bias,
        )
        large = (*numbers, self.slope, self.evidence, self.class_entries, self.class_scale, *self.beside_class.values())
        for wrong, what in (
            (
                not modalities[0] or modalities[0] != modalities[1] or modalities[0] != modalities[2],
                "scale, bias and weight need the same modalities",
            ),
            (not all(map(math.isfinite, numbers)), "every number must be finite"),
            (not all(scale > 0 for scale in self.scale.values()), "every scale must be above 0"),
            (not all(weight >= 0 for weight in self.weight.values()), "no weight may be below 0"),
            (not set(self.beside_class) <= modalities[0], "beside_class has a modality without a scale"),
            (not all(0 <= w < math.inf for w in self.beside_class.values()), "no weight beside a class may be below 0"),
            (not 0 <= self.class_entries < math.inf, f"class_entries must be at least 0, not {self.class_entries}"),
            (not 0 <= self.class_scale < math.inf, f"class_scale must be at least 0, not {self.class_scale}"),
            (not 0 <= self.class_lowered < math.inf, f"class_lowered must be at least 0, not {self.class_lowered}"),
            (not any(weight > 0 for weight in self.weight.values()), "one weight must be above 0"),
            (not 0 < self.slope < math.inf, f"slope must be above 0, not {self.slope}"),
            (not 0 < self.threshold < 1, f"threshold must be between 0 and 1, not {self.threshold}"),
            (not 0 < self.floor <= 1, f"floor must be above 0 and at most 1, not {self.floor}"),
            (self.evidence < 0, f"evidence must be at least 0, not {self.evidence}"),
            (self.rule not in RULES, f"rule must be {' or '.join(RULES)}, not {self.rule!r}"),
            (not all(abs(number) <= LARGEST for number in large), f"no number may be beyond {LARGEST:g}"),
            (self.pool_windows < 1, f"pool_windows must be at least 1, not {self.pool_windows}"),
        ):
            if wrong:
                raise GalleryError(f"decision parameters: {what}", "correct them, or fit them again")

    def confidences(self, odds: np.ndarray) -> np.ndarray:
        """Confidences of log-odds of taxa against what they compete with, float32, in their place."""
        odds *= -self.slope
        odds -= self.offset
        with np.errstate(over="ignore"):  # infinite for a taxon that is ruled out
            np.exp(odds, out=odds)
        odds += 1.0
        return np.reciprocal(odds, out=odds)

    def confidence(self, odds: float) -> float:
        """The same of one."""
        return 1.0 / (1.0 + math.exp(min(-(self.slope * odds + self.offset), LARGEST_ODDS)))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> DecisionParameters:
        """Parameters from JSON.

        Raises
        ------
        GalleryError
            A key is missing or unknown, or a value is not of its type or out of its range.
        """
        names = [field.name for field in fields(cls)]
        values = {
            "rule": PURSUIT,
            "beside_class": {},
            "class_entries": 0.0,
            "class_scale": 0.0,
            "class_bias": 0.0,
            "class_lowered": UNBOUNDED,
            "class_count": 0.0,
            "quality_mean": 0.0,
            "quality_length": 0.0,
            "quality_bias": 0.0,
            **values,
        }  # packs made before there was another
        missing = [name for name in names if name not in values]
        unknown = [str(name) for name in values if name not in names]
        if missing or unknown:
            found = [f"{name} is missing" for name in missing] + [f"{name} is unknown" for name in unknown]
            raise GalleryError(f"decision parameters: {', '.join(found)}", f"give {', '.join(names)}")
        pool_windows = _number("pool_windows", values["pool_windows"])
        if not pool_windows.is_integer():
            raise GalleryError(f"decision parameters: pool_windows is {pool_windows}", "give a whole number")
        tables = {
            name: _numbers_by_modality(name, values[name]) for name in ("scale", "bias", "weight", "beside_class")
        }
        others = (*tables, "pool_windows", "rule")
        single = {name: _number(name, values[name]) for name in names if name not in others}
        return cls(**tables, **single, pool_windows=int(pool_windows), rule=values["rule"])  # type: ignore[arg-type]

    def to_dict(self) -> dict[str, Any]:
        """The parameters as JSON takes them."""
        return asdict(self)


def _numbers_by_modality(name: str, values: object) -> dict[str, float]:
    if not isinstance(values, Mapping):
        raise GalleryError(f"decision parameters: {name} is {values!r}", "give a number for each modality")
    return {str(modality): _number(f"{name} of {modality}", value) for modality, value in values.items()}


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise GalleryError(f"decision parameters: {name} is {value!r}", "give a number")
    try:
        return float(value)
    except OverflowError:
        raise GalleryError(f"decision parameters: {name} is a number of too many digits", "give a number") from None
