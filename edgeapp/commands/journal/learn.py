"""``biovita-edge journal learn``: reviews become recordings and counterexamples that windows are compared with."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import Annotated

import typer

from edgeapp.commands.journal.export import app
from edgeapp.commands.journal.journal import JournalPath
from edgeapp.commands.options import GalleryOption, JsonOption, PackOption
from edgeapp.errors import PackError, UsageError
from edgeapp.journal import Reader
from edgeapp.journal.learning import Report, forget, learn
from edgeapp.pack.format import Pack
from edgeapp.pack.installed import load_pack
from edgeapp.recognition.learned import NONE, learned_beside
from edgeapp.terminal import say, tell


@app.command("learn")
def learn_from_reviews(
    journal: JournalPath = None,
    learned: Annotated[
        Path | None,
        typer.Option(
            "--learned",
            metavar="FILE",
            help="Learned gallery to write; beside the journal, named after it, if not given.",
        ),
    ] = None,
    undo: Annotated[bool, typer.Option("--undo", help="Remove the learned gallery instead; the reviews stay.")] = False,
    pack: PackOption = None,
    gallery: GalleryOption = None,
    json: JsonOption = False,
) -> None:
    """Learn from reviews: write the learned gallery of a journal, which `identify` and `listen` use from then on.

    Confirmed and corrected detections become recordings of their species, rejected and corrected ones counterexamples
    of what they were taken for. Each acts on that taxon alone, in sound like it. The gallery holds what the reviews say
    now: a review that changes changes it the next time. A running station takes it within seconds. Nothing is trained,
    and the gallery of the pack is not changed.

    Without --pack, the pack and gallery that listened last are taken.
    """
    with Reader(journal) as reader:
        path = learned or learned_beside(reader.path)
        if str(path) == NONE:
            raise UsageError("--learned none: there is nothing to write", "name a file")
        if undo:
            removed = forget(path)
            tell(f"{path}: {'removed' if removed else 'is not there'}; the reviews stay in the journal")
            return
        used, taxa = _listened(reader, pack, gallery)
        report = learn(reader, used, path, taxa)
    if json:
        typer.echo(json_module.dumps(_fields(report), indent=2, ensure_ascii=False))
        return
    for name in sorted({*report.entries, *report.counterexamples}):
        confirmed, rejected = report.entries.get(name, 0), report.counterexamples.get(name, 0)
        say(f"{name:<28} {confirmed:>5} recordings {rejected:>5} counterexamples")
    tell(report.in_words)
    if report.reviews:
        tell(f"{path}: {'written' if report.changed else 'unchanged'}")


def _listened(reader: Reader, pack: str | None, gallery: Path | None) -> tuple[Pack, Path | None]:
    """The pack and gallery that are asked for, else those of the last deployment as far as they are still there."""
    deployments = reader.deployments()
    if pack is not None or not deployments:
        return load_pack(pack), gallery
    last = deployments[-1]
    try:
        loaded = load_pack(last["pack"])
    except PackError:
        loaded = load_pack(None)
    if loaded.space != last["space"]:
        return load_pack(None), gallery
    return loaded, gallery or (Path(last["gallery"]) if Path(last["gallery"]).is_file() else None)


def _fields(report: Report) -> dict[str, object]:
    return {
        "learned": str(report.path),
        "changed": report.changed,
        "reviews": report.reviews,
        "recordings": dict(report.entries),
        "counterexamples": dict(report.counterexamples),
        "left_out": dict(report.left_out),
    }
