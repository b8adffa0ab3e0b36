"""Stages: their trained modules, batches and losses.

- base: text and image towers, ITC between photos and prompts; the full size has BioCLIP 2 instead.
- 1: audio tower against the frozen text tower, ATC (BioVITA, stage 1). Text distillation is the same stage alone.
- 2: audio and text towers with frozen image vectors, ATC + lambda (AIC + ITC) (BioVITA, stage 2).
- 1 of a preset in the space of a pack: text tower against the class vectors of the pack, ATC.
- 2 of such a preset: image tower against fixed class vectors and names, AIC + ITC.
- student: a small audio tower against the vectors of a large one, on unlabelled recordings.
"""

from trainer.stages.audio_text import AudioText
from trainer.stages.base import Base
from trainer.stages.names import ClassNames
from trainer.stages.stage import Batch, Metrics, Rows, Stage
from trainer.stages.student import Student
from trainer.stages.triplet import AudioTextImage

__all__ = ["AudioText", "AudioTextImage", "Base", "Batch", "ClassNames", "Metrics", "Rows", "Stage", "Student"]
