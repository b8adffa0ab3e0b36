"""What a stage trains, on which batches, with which loss. The loop asks a stage and knows none of them.

- base: text and image towers, ITC between photos and prompts; what BioCLIP 2 is to the full size.
- 1: audio tower against the frozen text tower, ATC (BioVITA, stage 1). Text distillation is the same stage, alone.
- 2: audio and text towers with frozen image vectors, ATC + lambda (AIC + ITC) (BioVITA, stage 2).
- 1 of a preset with a given audio encoder: text tower against class vectors of the encoder's classifier, ATC.
- 2 of such a preset: image tower against class vectors and names, both at rest, AIC + ITC.
- student: a small audio tower against the vectors of a large one, on sound without labels.
"""

from trainer.stages.audio_text import AudioText
from trainer.stages.base import Base
from trainer.stages.names import ClassNames
from trainer.stages.stage import Batch, Metrics, Rows, Stage
from trainer.stages.student import Student
from trainer.stages.triplet import AudioTextImage

__all__ = ["AudioText", "AudioTextImage", "Base", "Batch", "ClassNames", "Metrics", "Rows", "Stage", "Student"]
