"""A student: the starter's small trunk for sound, beside the text and image towers of its teacher."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from trainer.frontend import LevelNorm, LogMel, LogMelConfig
from trainer.models.efficientat import MobileNetAudio, load_published
from trainer.models.sizes import Towers
from trainer.models.vita import AudioTower, Branch, LevelledTower


@dataclass(frozen=True)
class StudentTowers:
    """Sizes of the towers.

    Attributes
    ----------
    teacher : sizes of the teacher, whose text and image towers the student shares
    space : id of the teacher's space
    """

    teacher: Towers
    space: str
    mel: LogMelConfig = LogMelConfig()
    level_dbfs: float = -20.0
    frozen: int = 4  # lowest blocks of the trunk that stay pretrained: they take most of the time and gain little
    family: str = field(default="student", init=False)

    @property
    def dim(self) -> int:
        return self.teacher.dim

    @property
    def context(self) -> int:
        """Tokens of a prompt."""
        return self.teacher.context

    @property
    def image_size(self) -> int:
        """Side of a picture in pixels."""
        return self.teacher.image_size


class StudentTower(LevelledTower):
    """One trunk, tuned except for its lowest blocks, and a projection to the space of the teacher.

    It has no second, frozen branch as in `AudioTower`: that one prevents forgetting when labels are few, while a
    teacher gives a target for every sound.
    """

    def __init__(self, trunk: MobileNetAudio, level: LevelNorm, front: LogMel, dim: int) -> None:
        super().__init__(level, front)
        self.branch = Branch(trunk, 0, dim, dropout=0.0)

    def pretrained_parts(self) -> list[nn.Module]:
        return [self.branch.blocks]

    def fresh_parts(self) -> list[nn.Module]:
        return [self.branch.projection]

    def lowest_blocks(self) -> nn.Sequential:
        return self.branch.blocks

    def single_trunk(self) -> nn.Sequential:
        return self.branch.blocks

    def embed_branches(self, log_mel: Tensor) -> list[Tensor]:
        """Log-mel to unit vectors of the tower, which has one branch."""
        return [self.branch(log_mel[:, None], self.bf16 and self.training)]


def build_student_audio(towers: StudentTowers, pretrained: Path | None = None) -> StudentTower:
    """The audio tower, with random weights or those in a folder of public weights."""
    trunk = MobileNetAudio()
    if pretrained is not None:
        load_published(trunk, pretrained / "efficientat_mn04_as.pt")
    trunk.features[: towers.frozen].requires_grad_(False)
    trunk.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # a third faster on a CPU
    return StudentTower(trunk, LevelNorm(towers.level_dbfs), LogMel(towers.mel), towers.dim)


@torch.no_grad()
def start_from_teacher(student: StudentTower, teacher: AudioTower) -> None:
    """Copy the lowest blocks of a teacher with the same trunk, and above them the mean of its two branches.

    Both branches started from the same weights, so their mean is a good network too (Wortsman et al., ICML 2022, "Model
    soups").
    """
    blocks, shared = student.branch.blocks, len(teacher.stem)
    blocks[:shared].load_state_dict(teacher.stem.state_dict())
    special = teacher.special.blocks.state_dict()
    both = {name: (tensor, special[name]) for name, tensor in teacher.general.blocks.state_dict().items()}
    mean = {name: torch.lerp(*pair, 0.5) if pair[0].is_floating_point() else pair[0] for name, pair in both.items()}
    blocks[shared:].load_state_dict(mean)
