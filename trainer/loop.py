"""The training loop: epochs, schedule, averaging, checkpoints, resume, log, progress. It treats every stage alike."""

from __future__ import annotations

import json
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from tokenizers import Tokenizer
from torch import Tensor, nn

from trainer import checkpoint
from trainer.checkpoint import LOG, RESUME, RunConfig
from trainer.errors import CheckpointError
from trainer.models.vita import Vita
from trainer.presets import StageConfig
from trainer.stages import Stage

EVALUATE_EVERY = 5  # epochs; the last one always


@dataclass(frozen=True)
class Run:
    """Where a stage is trained and kept."""

    folder: Path
    config: RunConfig
    tokenizer: Tokenizer
    console: Console
    evaluate: Callable[[Vita], dict[str, Any]] | None = None  # figures on the held-out split


class Average:
    """Exponential moving average of the parameters that learn."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.steps = 0
        self.live = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self.weights = {name: p.detach().clone() for name, p in self.live.items()}

    @torch.no_grad()
    def update(self) -> None:
        """Take in the present weights; the first steps count more, so that the start is soon forgotten."""
        self.steps += 1
        decay = min(self.decay, self.steps / (9 + self.steps))
        for name, parameter in self.live.items():
            self.weights[name].lerp_(parameter, 1 - decay)

    def restore(self, weights: dict[str, Tensor], steps: int) -> None:
        self.steps = steps
        for name, tensor in weights.items():
            self.weights[name].copy_(tensor)

    def swap(self) -> None:
        """Exchange average and live weights."""
        with torch.no_grad():
            for name, parameter in self.live.items():
                kept = parameter.detach().clone()
                parameter.copy_(self.weights[name])
                self.weights[name].copy_(kept)


def learning_rate(config: StageConfig, progress: float) -> float:
    """Factor at a share of the run: linear warm-up, then a cosine to zero."""
    warm = min(1.0, progress / config.warmup) if config.warmup > 0 else 1.0
    return warm * 0.5 * (1.0 + math.cos(math.pi * progress))


def optimizer_of(stage: Stage) -> torch.optim.AdamW:
    """AdamW; norms, biases and scales are not decayed (both papers use AdamW at 0.05)."""
    c = stage.config
    groups: list[dict[str, Any]] = []
    for modules, lr in ((stage.pretrained(), c.trunk_lr), (stage.fresh(), c.lr)):
        learning = [p for module in modules for p in module.parameters() if p.requires_grad]
        for decayed in (True, False):
            chosen = [p for p in learning if (p.ndim > 1) == decayed]
            if chosen:
                groups.append({"params": chosen, "lr": lr, "weight_decay": c.weight_decay if decayed else 0.0})
    groups.append({"params": stage.scales(), "lr": c.lr, "weight_decay": 0.0})
    return torch.optim.AdamW(groups)


def freeze_others(model: nn.Module, stage: Stage) -> None:
    """Only the stage's modules learn; frozen blocks inside them stay frozen."""
    learning = {id(p) for m in (*stage.pretrained(), *stage.fresh()) for p in m.parameters() if p.requires_grad}
    learning |= {id(p) for p in stage.scales()}
    for parameter in model.parameters():
        parameter.requires_grad_(id(parameter) in learning)


def train_mode(model: Vita, stage: Stage) -> None:
    """Dropout only in what learns."""
    model.eval()
    learning = {id(p) for m in (*stage.pretrained(), *stage.fresh()) for p in m.parameters()}
    for tower in (model.audio, model.text, model.image):
        if any(id(p) in learning for p in tower.parameters()):
            tower.train()


def fit(model: Vita, stage: Stage, run: Run) -> None:
    """Train a stage to its end, from where an earlier run of it stopped.

    The order of samples, crops, augmentation and prompts of an epoch depends on seed and epoch alone, and the state
    after each epoch is stored: a run that was killed and resumed sees what an unbroken one sees.
    """
    freeze_others(model, stage)
    config = stage.config
    optimizer = optimizer_of(stage)
    rates = [group["lr"] for group in optimizer.param_groups]
    average = Average(model, config.ema)
    first = restore(run.folder, model, optimizer, average)
    if first == 0:
        (run.folder / LOG).unlink(missing_ok=True)
    else:  # a kill between the two files leaves the weights one epoch behind
        checkpoint.save(run.folder, model, average.weights, run.tokenizer, run.config)
    device = next(model.parameters()).device
    for epoch in range(first, config.epochs):
        began = time.monotonic()
        rng = np.random.default_rng([run.config.seed, epoch])
        generator = torch.Generator(device=device).manual_seed(run.config.seed * 1_000_003 + epoch)
        torch.manual_seed(run.config.seed * 1_000_003 + epoch)  # dropout
        batches = stage.batches(rng)
        train_mode(model, stage)
        sums: dict[str, float] = defaultdict(float)
        for position, rows in shown(batches, run.console, stage.name, epoch, config.epochs, sums):
            progress = (epoch + position / len(batches)) / config.epochs
            factor = learning_rate(config, progress)
            for group, rate in zip(optimizer.param_groups, rates):
                group["lr"] = rate * factor
            loss, metrics = stage.loss(rows, epoch + position / len(batches), rng, generator)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_([p for group in optimizer.param_groups for p in group["params"]], config.clip)
            optimizer.step()
            average.update()
            for name, value in {"loss": float(loss.detach()), **metrics}.items():
                sums[name] += value * len(rows)
            sums["samples"] += len(rows)
        count = int(sums.pop("samples"))
        line: dict[str, Any] = {
            "stage": stage.name,
            "epoch": epoch + 1,
            **{name: round(v / count, 5) for name, v in sums.items()},
        }
        line |= {"samples": count, "seconds": round(time.monotonic() - began, 2)}
        if run.evaluate and ((epoch + 1) % EVALUATE_EVERY == 0 or epoch + 1 == config.epochs):
            average.swap()
            model.eval()
            line["held_out"] = run.evaluate(model)
            average.swap()
        store(run, model, optimizer, average, epoch + 1, line)
    average.swap()
    model.eval()
    stage.finish()
    checkpoint.save(run.folder, model, {}, run.tokenizer, run.config)
    (run.folder / RESUME).unlink(missing_ok=True)


def restore(folder: Path, model: Vita, optimizer: torch.optim.Optimizer, average: Average) -> int:
    """Continue an unfinished run; number of epochs that are done."""
    state = checkpoint.load_resume(folder)
    if state is None:
        return 0
    try:
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        average.restore(state["average"], state["steps"])
    except (KeyError, RuntimeError, ValueError) as error:
        path = folder / RESUME
        raise CheckpointError(f"{path}: not of this model ({type(error).__name__})", "start with --restart") from error
    log = folder / LOG
    if log.exists():  # an epoch that was logged but not stored is trained again, and logged again
        lines = log.read_text(encoding="utf-8").splitlines()[: state["epoch"]]
        text = "".join(line + "\n" for line in lines)
        checkpoint.replace_file(log, lambda path: path.write_text(text, encoding="utf-8"))
    return state["epoch"]


def store(
    run: Run, model: Vita, optimizer: torch.optim.Optimizer, average: Average, epoch: int, line: dict[str, Any]
) -> None:
    """Log an epoch and keep its state and its averaged weights."""
    run.folder.mkdir(parents=True, exist_ok=True)
    with (run.folder / LOG).open("a", encoding="utf-8") as log:
        log.write(json.dumps(line) + "\n")
    state = {
        "epoch": epoch,
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "average": average.weights,
        "steps": average.steps,
    }
    checkpoint.save_config(run.folder, run.tokenizer, run.config)
    checkpoint.save_resume(run.folder, state)
    checkpoint.save(run.folder, model, average.weights, run.tokenizer, run.config)


def shown(
    batches: list[list[int]],
    console: Console,
    stage: str,
    epoch: int,
    epochs: int,
    sums: dict[str, float],
) -> Iterator[tuple[int, list[int]]]:
    """Batches with their position, under a progress bar with loss, accuracy and time left; a line after the epoch."""
    columns = (
        TextColumn("stage {task.fields[stage]} epoch {task.fields[epoch]}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[figures]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=not console.is_terminal) as bar:
        task = bar.add_task("", total=len(batches), stage=stage, epoch=f"{epoch + 1}/{epochs}", figures="")
        for position, rows in enumerate(batches):
            yield position, rows
            n = sums["samples"]
            figures = f"loss {sums['loss'] / n:.3f} accuracy {sums['accuracy'] / n:.3f}"
            bar.update(task, advance=1, figures=figures)
    if not console.is_terminal:
        console.print(f"stage {stage} epoch {epoch + 1}/{epochs} {figures}", highlight=False)
