"""``biovita-edge archive``: identify species in any number of recordings."""

from __future__ import annotations

import os
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from edgeapp import interruption
from edgeapp.archive.estimate import Sampled, results_bytes, sampled, tried
from edgeapp.archive.inputs import PassedOver, recordings
from edgeapp.archive.plan import Plan, Scan
from edgeapp.archive.progress import Progress
from edgeapp.archive.recognition import Loaded, Recognition
from edgeapp.archive.results.dataset import EMBEDDINGS, WINDOWS, DataSet
from edgeapp.archive.results.folder import check, earlier, opened
from edgeapp.archive.results.parts import Parts
from edgeapp.archive.results.record import ALWAYS, Record, versions
from edgeapp.archive.run import Outcome, Run
from edgeapp.archive.workers.count import default_workers
from edgeapp.archive.workers.engine import Engine
from edgeapp.archive.workers.processes import Processes
from edgeapp.archive.workers.ray_engine import RayWorkers
from edgeapp.audio.channels import MIX
from edgeapp.audio.pcm import STDIN
from edgeapp.commands.options import (
    ChannelOption,
    GalleryOption,
    LanguageOption,
    LearnedOption,
    PackOption,
    ProviderOption,
)
from edgeapp.commands.place import DateOption, LatitudeOption, LeastOption, LongitudeOption, WeekOption
from edgeapp.commands.recognition import (
    KEEP,
    HopOption,
    ModalitiesOption,
    OnlyOption,
    PrivacyOption,
    RangeTableOption,
    SpeechThresholdOption,
    TimeZoneOption,
    recognition_of,
)
from edgeapp.config.panels import OUTPUT, RECOGNITION
from edgeapp.detections.speech import THRESHOLD
from edgeapp.errors import UsageError
from edgeapp.progress_line import Counting
from edgeapp.terminal import complain, counted, duration, silent, size

WORK = "Work"


class Partition(str, Enum):
    """By what the results are partitioned."""

    DATE = "date"
    FOLDER = "folder"
    NONE = "none"


def archive(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE|FOLDER|GLOB|LIST...",
            help="Recordings, folders of them, patterns, or @list.txt with their names.",
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="FOLDER",
            help="Folder of the results (Parquet).",
            rich_help_panel=OUTPUT,
        ),
    ],
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Say what there is and how long it takes, and stop.", rich_help_panel=WORK),
    ] = False,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            metavar="NUMBER",
            help="Processes that hear recordings, each with its own model; one per core or GPU if not given.",
            min=1,
            rich_help_panel=WORK,
        ),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(
            "--ray",
            metavar="HOST",
            help="Work with Ray: local, or the address of a cluster (HOST:PORT, auto).",
            rich_help_panel=WORK,
        ),
    ] = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Hear recordings again that failed.", rich_help_panel=WORK)
    ] = False,
    new_run: Annotated[
        bool,
        typer.Option(
            "--new-run",
            help="Begin anew; results that are there are kept beside, as FOLDER.1.",
            rich_help_panel=WORK,
        ),
    ] = False,
    partition: Annotated[
        Partition,
        typer.Option("--partition", metavar="date|folder|none", help="Partition the results.", rich_help_panel=OUTPUT),
    ] = Partition.DATE,
    windows: Annotated[
        bool, typer.Option("--windows", help="Keep a row for each window as well.", rich_help_panel=OUTPUT)
    ] = False,
    embeddings: Annotated[
        bool,
        typer.Option(
            "--embeddings",
            help="Keep the embedding of each window as well (float16).",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    only: OnlyOption = None,
    latitude: LatitudeOption = None,
    longitude: LongitudeOption = None,
    week: WeekOption = None,
    date: DateOption = None,
    min_occurrence: LeastOption = None,
    range_table: RangeTableOption = None,
    language: LanguageOption = None,
    hop: HopOption = None,
    pack: PackOption = None,
    gallery: GalleryOption = None,
    learned: LearnedOption = None,
    modalities: ModalitiesOption = None,
    threads: Annotated[
        int,
        typer.Option(
            "--threads",
            metavar="NUMBER",
            help="Number of threads of each worker.",
            min=1,
            rich_help_panel=RECOGNITION,
        ),
    ] = 1,
    provider: ProviderOption = None,
    channel: ChannelOption = MIX,
    time_zone: TimeZoneOption = None,
    privacy: PrivacyOption = KEEP,
    speech_threshold: SpeechThresholdOption = THRESHOLD,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Only errors on standard error.", rich_help_panel=OUTPUT)
    ] = False,
) -> None:
    """Identify the species in any number of recordings, and keep the results in a Parquet data set.

    Detections are those of `identify`. The results are a folder of tables (detections, files; windows and embeddings if
    asked for) that pandas, Polars, DuckDB and R's arrow read.

    The same command goes on where it was stopped, whatever stopped it. Recordings that were heard are not heard again,
    also under a new name; those that changed are. Other settings or another pack are refused.
    """
    if STDIN in inputs:
        raise UsageError("an archive has no place for sound on standard input", "use `identify -`")
    note = silent if quiet else complain
    before = earlier(output)
    asked, found = recognition_of(
        note,
        pack,
        gallery,
        learned,
        only,
        modalities,
        threads,
        provider,
        latitude,
        longitude,
        week,
        date,
        min_occurrence,
        range_table,
        language,
        hop,
        time_zone,
        channel,
        privacy,
        speech_threshold,
    )
    loaded = asked.load(found)
    for line in loaded.notes:
        note(line)
    tables = (*ALWAYS, *(name for name, kept in ((WINDOWS, windows), (EMBEDDINGS, embeddings)) if kept))
    record = _record(loaded, asked, tables, partition.value, inputs)
    if before is not None and not new_run:
        check(before, record, output)
    scan = _scanned(inputs, quiet)
    heard = None if before is None or new_run else DataSet(output)
    plan = Plan.of(scan, heard, retry_failed)
    n_workers = workers or default_workers(loaded.recogniser)
    sample = sampled(plan.todo, plan.n_bytes)
    note(_in_words(plan, scan, sample))
    for line in (*scan.refused, *(sample.examples if dry_run else ())):
        complain(line)
    if dry_run:
        speed = tried(plan.todo, loaded)
        if speed is not None:
            left = duration(sample.sound_s / speed.times_real_time / n_workers)
            space = size(results_bytes(plan.n_todo, sample.sound_s, speed, tables, record.dim))
            each = f"{speed.times_real_time:,.0f} times real time each"
            note(f"about {left} with {counted(n_workers, 'worker')} ({each}), {space} of results")
        raise typer.Exit(1 if scan.refused else 0)
    del loaded  # the workers have their own
    with opened(output, record, new_run) as record:
        parts = Parts(output, record)
        progress = Progress(plan.n_todo, plan.n_bytes, quiet=quiet)
        with _engine(ray, asked, record, workers if ray else n_workers, plan.n_todo) as engine:
            outcome = Run(plan, engine, parts, progress, complain).go()
        progress.clear()
    _finish(outcome, plan, note, output)
    if outcome.stopped_by is not None:
        raise typer.Exit(interruption.exit_code())
    raise typer.Exit(1 if outcome.failed or plan.n_failed or scan.refused else 0)


def _engine(ray: str | None, asked: Recognition, record: Record, workers: int | None, n_todo: int) -> Engine:
    """The workers that were asked for; no more than there are recordings."""
    most = max(n_todo, 1)
    if ray is None:
        return Processes(asked, record, min(workers or 1, most))
    return RayWorkers(asked, record, ray, None if workers is None else min(workers, most))


def _record(loaded: Loaded, asked: Recognition, tables: tuple[str, ...], partition: str, inputs: list[str]) -> Record:
    pack = loaded.recogniser.pack
    settings = {**loaded.settings(asked), "partition": partition}
    settings |= {name: name in tables for name in (WINDOWS, EMBEDDINGS)}
    place = asked.place or (None, None)
    return Record(
        settings=settings,
        window_s=pack.audio.window_s,
        hop_s=loaded.hop_s,
        latitude=place[0],
        longitude=place[1],
        partition=partition,
        tables=tables,
        dim=pack.dim,
        space=pack.identity.space,
        base=os.getcwd(),
        inputs=tuple(inputs),
        versions=versions(),
    )


def _scanned(inputs: list[str], quiet: bool) -> Scan:
    """Look for the recordings, and tell how many there are."""
    passed_over = PassedOver()
    with Counting("recordings", quiet=quiet) as counting:
        scan = Scan.of(recordings(inputs, passed_over), counting.at)
    if len(passed_over) and not quiet:
        complain(str(passed_over))
    if not len(scan) and not scan.refused:
        raise UsageError("no recordings are named", "name recordings or folders of them")
    return scan


def _in_words(plan: Plan, scan: Scan, sample: Sampled) -> str:
    words = [f"{counted(plan.n_found, 'recording')} ({size(scan.n_bytes)})"]
    if plan.n_done:
        failed = f", of which {plan.n_failed:,} failed (--retry-failed hears them again)" if plan.n_failed else ""
        words.append(f"{plan.n_done:,} done before{failed}")
    if plan.n_todo:
        about = "" if sample.n_read == plan.n_todo else "about "
        words.append(f"{plan.n_todo:,} to hear, {about}{sample.sound_s / 3600:,.1f} h of sound")
    if sample.n_unreadable:
        words.append(f"{sample.n_unreadable:,} of {sample.n_read:,} looked into cannot be read")
    return "; ".join(words)


def _finish(outcome: Outcome, plan: Plan, note: Callable[[str], None], output: Path) -> None:
    if not plan.n_todo:
        note(f"nothing to do; results in {output}")
        return
    done = f"{outcome.done:,} of {plan.n_todo:,} files done, {outcome.failed:,} failed"
    moved = f", {outcome.moved:,} of them heard before under another name" if outcome.moved else ""
    if outcome.stopped_by is not None:
        complain(f"stopped: {done}{moved}; the same command goes on")
    else:
        note(f"{done}{moved}; results in {output}")
    if outcome.failed > 0:
        complain(f"{outcome.failed:,} failed; the table files in {output} says why (column error)")
