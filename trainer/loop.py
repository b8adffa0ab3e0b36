"""The training loop of all stages: epochs, schedule, averaging, checkpoints, resuming, log and progress."""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections import defaultdict
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from gallery.files import write_text
from trainer import checkpoint
from trainer.checkpoint import LOG, RESUME, RunConfig
from trainer.errors import CheckpointError, TrainingError
from trainer.groups import Groups
from trainer.models.vita import Vita
from trainer.optimize import Average, freeze_others, learning_rate, train_mode
from trainer.ranks import Ranks
from trainer.stages import Batch, Metrics, Rows, Stage

EVALUATE_EVERY = 5  # epochs, and after the last one
BOARD = "tensorboard"  # folder beside the log


@dataclass(frozen=True)
class Run:
    """Settings and output of a run of one stage."""

    folder: Path
    config: RunConfig
    tokenizer: Tokenizer
    console: Console
    evaluate: Callable[[Vita], dict[str, Any]] | None = None  # metrics on the held-out split
    ranks: Ranks = Ranks()
    report: Callable[[list[str]], None] = lambda lines: None  # called with files that could not be used
    evaluate_first: bool = False  # also before the first epoch


class Step(nn.Module):
    """The loss of a batch as a module, so that DDP can average the gradients of the processes."""

    def __init__(self, model: Vita, stage: Stage) -> None:
        super().__init__()
        self.model = model
        self.stage = stage

    def forward(self, batch: Batch, epoch: float, generator: torch.Generator) -> tuple[Tensor, Metrics]:
        return self.stage.loss(batch, epoch, generator)


def joined(model: Vita, stage: Stage, ranks: Ranks) -> nn.Module:
    """The step, alone or over all processes."""
    step = Step(model, stage)
    if ranks.world == 1:
        return step
    # In the first epochs of the released stage 2 the text tower is frozen and has no gradient.
    return DistributedDataParallel(step, find_unused_parameters=stage.config.mix_epochs > 0)


def epoch_of(
    step: nn.Module,
    stage: Stage,
    run: Run,
    groups: Groups,
    average: Average,
    plan: list[Rows],
    epoch: int,
    seed: int,
    device: torch.device,
) -> dict[str, float]:
    """One pass over the joint batches of `plan`; returns the sums of the metrics over the samples.

    Raises
    ------
    TrainingError
        When a loss is not finite.
    """
    config, ranks = stage.config, run.ranks
    own = seed + ranks.rank * 7_919  # each process augments and drops out its own samples
    generator = torch.Generator(device=device).manual_seed(own)
    torch.manual_seed(own)
    sums: dict[str, float] = defaultdict(float)
    with contextlib.closing(shown(stage, run, plan, epoch, seed, sums)) as batches:
        for position, batch in batches:
            at = epoch + position / len(plan)
            mixing, aligned = at < config.mix_epochs, stage.aligned
            groups.set(learning_rate(config, at / config.epochs), mixing, aligned)
            loss, metrics = step(batch, at, generator)
            value = float(loss.detach())
            if not math.isfinite(value):
                raise TrainingError(
                    f"stage {stage.name} epoch {epoch + 1} step {position + 1}: the loss is {value}",
                    "lower the learning rate with --set lr=…, or check the recordings of this batch",
                )
            groups.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            groups.drop_frozen(mixing, aligned)
            if config.clip:
                nn.utils.clip_grad_norm_(groups.parameters, config.clip)
            groups.optimizer.step()
            average.update()
            for name, metric in {"loss": value, **metrics}.items():
                sums[name] += metric * batch.size
            sums["samples"] += batch.size
    return sums


def fit(model: Vita, stage: Stage, run: Run) -> None:
    """Train a stage, or resume an interrupted run of it.

    The order of samples, crops, augmentation and prompts of an epoch depends only on seed and epoch, and the state
    after each epoch is stored, so a resumed run gets the same data as an uninterrupted one.

    Raises
    ------
    TrainingError
        When a loss is not finite; the last finished epoch is kept.
    """
    freeze_others(model, stage)
    config, ranks = stage.config, run.ranks
    groups = Groups(stage)
    average = Average(model, config.ema)
    first = restore(run.folder, model, groups.optimizer, average, stage)
    if ranks.first:
        if first == 0:
            (run.folder / LOG).unlink(missing_ok=True)
            if run.evaluate and run.evaluate_first:
                model.eval()
                write_line(run, {"stage": stage.name, "epoch": 0, "held_out": run.evaluate(model)})
        else:  # after a kill between the two files, the weights are one epoch behind
            checkpoint.save(run.folder, model, average.weights, run.tokenizer, run.config)
    ranks.wait()
    step = joined(model, stage, ranks)
    device = next(model.parameters()).device
    for epoch in range(first, config.epochs):
        began = time.monotonic()
        seed = run.config.seed * 1_000_003 + epoch
        plan = stage.plan(np.random.default_rng([run.config.seed, epoch]), ranks)
        train_mode(model, stage)
        sums = epoch_of(step, stage, run, groups, average, plan, epoch, seed, device)
        skipped = ranks.together(stage.skipped())
        run.report(skipped)
        if ranks.first:
            count = int(sums.pop("samples"))
            line: dict[str, Any] = {
                "stage": stage.name,
                "epoch": epoch + 1,
                **{name: round(v / count, 5) for name, v in sums.items()},
            }
            line |= {"samples": count, "seconds": round(time.monotonic() - began, 2)}
            if skipped:
                line["skipped"] = skipped
            if run.evaluate and ((epoch + 1) % EVALUATE_EVERY == 0 or epoch + 1 == config.epochs):
                average.swap()
                model.eval()
                line["held_out"] = run.evaluate(model)
                average.swap()
            store(run, model, groups.optimizer, average, stage, epoch + 1, line)
        ranks.wait()
    average.swap()
    model.eval()
    stage.finish()
    if ranks.first:
        checkpoint.save(run.folder, model, {}, run.tokenizer, run.config)
        (run.folder / RESUME).unlink(missing_ok=True)
    ranks.wait()


def restore(folder: Path, model: Vita, optimizer: torch.optim.Optimizer, average: Average, stage: Stage) -> int:
    """Restore the state of an unfinished run; returns the number of finished epochs."""
    state = checkpoint.load_resume(folder)
    if state is None:
        return 0
    try:
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        average.restore(state["average"], state["steps"])
        stage.restore(state["stage"])
    except (KeyError, RuntimeError, ValueError) as error:
        path = folder / RESUME
        raise CheckpointError(f"{path}: not of this model ({type(error).__name__})", "start with --restart") from error
    log = folder / LOG
    if log.exists():  # an epoch that was logged but not stored is trained and logged again
        lines = log.read_text(encoding="utf-8").splitlines()
        text = "".join(line + "\n" for line in lines if stored(line, state["epoch"]))
        write_text(log, text)
    return state["epoch"]


def stored(line: str, epoch: int) -> bool:
    """Whether a line of the log belongs to a stored epoch; an incomplete line does not."""
    try:
        return json.loads(line)["epoch"] <= epoch
    except ValueError:
        return False


def store(
    run: Run,
    model: Vita,
    optimizer: torch.optim.Optimizer,
    average: Average,
    stage: Stage,
    epoch: int,
    line: dict[str, Any],
) -> None:
    """Log an epoch and store its state and averaged weights."""
    write_line(run, line)
    state = {
        "epoch": epoch,
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "average": average.weights,
        "steps": average.steps,
        "stage": stage.state(),
    }
    checkpoint.save_config(run.folder, run.tokenizer, run.config)
    checkpoint.save_resume(run.folder, state)
    checkpoint.save(run.folder, model, average.weights, run.tokenizer, run.config)


def write_line(run: Run, line: dict[str, Any]) -> None:
    """Add a line to the log, and its metrics to TensorBoard if that is installed."""
    run.folder.mkdir(parents=True, exist_ok=True)
    with (run.folder / LOG).open("a", encoding="utf-8") as log:
        log.write(json.dumps(line) + "\n")
    with contextlib.suppress(ImportError):
        from torch.utils.tensorboard import SummaryWriter

        with SummaryWriter(str(run.folder / BOARD)) as board:
            for name, value in {**line, **line.get("held_out", {})}.items():
                if isinstance(value, (int, float)) and name != "epoch":
                    board.add_scalar(f"{line['stage']}/{name}", value, line["epoch"])


def shown(
    stage: Stage, run: Run, plan: list[Rows], epoch: int, seed: int, sums: dict[str, float]
) -> Generator[tuple[int, Batch], None, None]:
    """Batches with their position; shows a progress bar with loss, accuracy and remaining time."""
    feed = stage.feed(plan, seed, run.ranks)
    if not run.ranks.first:
        yield from enumerate(feed)
        return
    columns = (
        TextColumn("stage {task.fields[stage]} epoch {task.fields[epoch]}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[shown]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    console, of, shown = run.console, f"{epoch + 1}/{stage.config.epochs}", ""
    with Progress(*columns, console=console, transient=not console.is_terminal) as bar:
        task = bar.add_task("", total=len(plan), stage=stage.name, epoch=of, shown="")
        for position, batch in enumerate(feed):
            yield position, batch
            n = sums["samples"]
            shown = f"loss {sums['loss'] / n:.3f} accuracy {sums['accuracy'] / n:.3f}"
            bar.update(task, advance=1, shown=shown)
    if not console.is_terminal:
        console.print(f"stage {stage.name} epoch {of} {shown}", highlight=False)
