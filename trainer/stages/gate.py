"""The gate of the released BioVITA code on AIC and ITC in stage 2, off by default."""

from __future__ import annotations

from typing import Any

from torch import Tensor

FIRST = 20  # steps whose mean ATC is the baseline
SHARE = 0.2  # of the newest step in the running mean
CLOSES, OPENS = 1.03, 1.015  # running mean over baseline
CALM = 20  # consecutive steps below OPENS until it opens again
FORCE = 2.0  # weight of the guard


class Gate:
    """Closed while the running mean of ATC is more than 3 % above its baseline."""

    def __init__(self) -> None:
        self.steps = 0
        self.base = 0.0
        self.running = 0.0
        self.open = True
        self.calm = 0

    def passes(self, atc: float) -> float:
        """Update with the ATC of a step; returns 1.0 while open, 0.0 while closed."""
        self.steps += 1
        if self.steps <= FIRST:
            self.base += (atc - self.base) / self.steps
            self.running = self.base
            return 1.0
        self.running += SHARE * (atc - self.running)
        if self.open:
            self.open = self.running <= self.base * CLOSES
            self.calm = 0
        else:
            self.calm = self.calm + 1 if self.running <= self.base * OPENS else 0
            self.open = self.calm >= CALM
        return float(self.open)

    def guard(self, atc: Tensor) -> Tensor:
        """Additional loss for ATC above the bound; zero until the baseline is known."""
        bound = self.base * CLOSES if self.steps > FIRST else float("inf")
        return FORCE * (atc - bound).clamp_min(0.0)

    def state(self) -> dict[str, Any]:
        return dict(self.__dict__)

    def restore(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
