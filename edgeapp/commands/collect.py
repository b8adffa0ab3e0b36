"""``biovita-edge collect``: recordings and photos from public archives, with their names and licences."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from edgeapp.collect.defaults import (
    BURST,
    CONNECTIONS,
    KEEP_FREE_MB,
    LICENCES,
    MB,
    MOST_MB,
    PHOTOS,
    TEST_SHARE,
)
from edgeapp.collect.sources import KINDS
from edgeapp.collect.sources.kind import MODALITIES, PHOTO_SIZES
from edgeapp.commands.data_set_options import Avonet, Elton, Speech, TestShare, Traits, UnseenBelow, Without
from edgeapp.commands.download_options import Addresses, KeepFree, Rate, SpeciesList
from edgeapp.config.panels import CHOICE, DOWNLOAD, SOURCES
from edgeapp.errors import UsageError
from edgeapp.terminal import complain, say, size

if TYPE_CHECKING:
    from edgeapp.collect.estimate import Estimate
    from edgeapp.collect.finish import Finish
    from edgeapp.collect.pipeline import Collection
    from edgeapp.collect.plan import Plan

CARD = "CARD.md"
NOUNS = {"audio": "recordings", "image": "photos"}
SHOWN = 12  # reasons

OutputArgument = Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of the collection; made if missing.")]
KeyFile = Annotated[
    Path | None,
    typer.Option(
        "--xeno-canto-key-file",
        metavar="FILE",
        help="File with the key of Xeno-canto's API; the variable XENO_CANTO_KEY if not given.",
        rich_help_panel=SOURCES,
    ),
]
PhotoSize = Annotated[
    str,
    typer.Option(
        "--photo-size",
        metavar="|".join(PHOTO_SIZES),
        help="Size of photos where a source has several: 2048, 1024, 500 or 240 pixels at iNaturalist.",
        rich_help_panel=SOURCES,
    ),
]
AskAgain = Annotated[
    bool,
    typer.Option(
        "--again",
        help="Ask sources again that were asked to their end, and fetch again what failed for good.",
        rich_help_panel=SOURCES,
    ),
]
Modalities = Annotated[
    str,
    typer.Option("--modalities", metavar="MODALITIES", help="What is collected: audio, image.", rich_help_panel=CHOICE),
]
Only = Annotated[
    list[str] | None,
    typer.Option(
        "--only",
        metavar="TAXON",
        help='Only species of this group, at any rank: "Aves", "Parus". May be repeated.',
        rich_help_panel=CHOICE,
    ),
]
Taxonomy = Annotated[
    Path | None,
    typer.Option(
        "--taxonomy",
        metavar="FILE",
        help="Backbone: Catalogue of Life or GBIF (ZIP), eBird, or a species table; the program's own if not given.",
        rich_help_panel=CHOICE,
    ),
]
Licence = Annotated[
    str,
    typer.Option(
        "--licence",
        metavar="TEXT",
        help="Licences that are taken, with * for the rest and | between them; non-commercial ones only if named.",
        rich_help_panel=CHOICE,
    ),
]
Recordings = Annotated[
    int | None,
    typer.Option(
        "--recordings", metavar="NUMBER", help="Recordings of a species at most.", min=0, rich_help_panel=CHOICE
    ),
]
Photos = Annotated[
    int, typer.Option("--photos", metavar="NUMBER", help="Photos of a species at most.", min=0, rich_help_panel=CHOICE)
]
Quality = Annotated[
    list[str] | None,
    typer.Option(
        "--min-quality",
        metavar="LEVEL",
        help="Minimum quality: A to E of Xeno-canto, research or needs_id of iNaturalist. May be repeated.",
        rich_help_panel=CHOICE,
    ),
]
BestFirst = Annotated[
    bool,
    typer.Option("--best-first", help="Draw from the best quality grade first.", rich_help_panel=CHOICE),
]
Burst = Annotated[
    int,
    typer.Option(
        "--burst",
        metavar="NUMBER",
        help="Files of a species at most of one observer, place and hour.",
        min=1,
        rich_help_panel=CHOICE,
    ),
]
Seed = Annotated[int, typer.Option("--seed", metavar="NUMBER", help="Seed of the draw.", rich_help_panel=CHOICE)]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run", help="Say how many files, bytes and species would be fetched, and stop.", rich_help_panel=DOWNLOAD
    ),
]
Connections = Annotated[
    int,
    typer.Option(
        "--connections", metavar="NUMBER", help="Files that are fetched at once.", min=1, rich_help_panel=DOWNLOAD
    ),
]
MaxSize = Annotated[
    float,
    typer.Option(
        "--max-size", metavar="MB", help="Files that are larger are left out.", min=0.001, rich_help_panel=DOWNLOAD
    ),
]


def _collect(
    sources: list[tuple[str, str]],
    output: OutputArgument,
    xeno_canto_key_file: KeyFile = None,
    address: Addresses = None,
    photo_size: PhotoSize = "large",
    again: AskAgain = False,
    modalities: Modalities = "audio,image",
    species_list: SpeciesList = None,
    only: Only = None,
    taxonomy: Taxonomy = None,
    licence: Licence = LICENCES,
    recordings: Recordings = None,
    photos: Photos = PHOTOS,
    min_quality: Quality = None,
    best_first: BestFirst = False,
    burst: Burst = BURST,
    seed: Seed = 0,
    dry_run: DryRun = False,
    connections: Connections = CONNECTIONS,
    rate: Rate = None,
    max_size: MaxSize = MOST_MB,
    keep_free: KeepFree = KEEP_FREE_MB,
    without: Without = None,
    speech: Speech = True,
    test_share: TestShare = TEST_SHARE,
    unseen_below: UnseenBelow = None,
    traits: Traits = None,
    avonet: Avonet = None,
    elton: Elton = None,
) -> None:
    """Collect recordings and photos of species from public archives, with one taxonomy, authors and licences.

    Any number of sources is asked, one after the other; then names are matched, licences compared, files chosen and
    fetched, and what came is described by a manifest, which the trainer reads, and a data card. The same command goes
    on where it was stopped, and one with other limits changes the choice alone.
    """
    from edgeapp.collect.curation import Rules
    from edgeapp.collect.finish import Finish
    from edgeapp.collect.licences import Terms
    from edgeapp.collect.plan import Plan, addresses_of, species_of
    from edgeapp.collect.splits import Division
    from edgeapp.collect.transfer import Limits

    if photo_size not in PHOTO_SIZES:
        raise UsageError(f"--photo-size {photo_size!r} is no size", f"use one of {', '.join(PHOTO_SIZES)}")
    plan = Plan(
        output=output,
        sources=tuple(sources),
        modalities=_modalities(modalities),
        species=species_of(species_list) if species_list is not None else (),
        groups=tuple(only or ()),
        backbone=taxonomy,
        terms=Terms.of(licence),
        rules=Rules(recordings, photos, seed, best_first, tuple(min_quality or ()), burst, tuple(without or ())),
        photo_size=photo_size,
        key=_key(xeno_canto_key_file),
        addresses=addresses_of(address or []),
        limits=Limits(int(max_size * MB), int(keep_free * MB)),
        connections=connections,
        per_s=rate,
        again=again,
    )
    asked = {
        "sources": ", ".join(f"{name} {what}" for name, what in sources),
        "modalities": modalities,
        "licences": licence,
        "species": species_list.name if species_list is not None else "",
        "groups": ", ".join(only or ()),
        "recordings of a species": "all" if recordings is None else str(recordings),
        "photos of a species": str(photos),
        "files of a species of one observer, place and hour": str(burst),
        "least quality": ", ".join(min_quality or ()),
        "best quality first": "yes" if best_first else "",
        "left out where noted": ", ".join(without or ()),
        "size of photos": photo_size,
        "largest file": f"{max_size:g} MB",
        "seed": str(seed),
    }
    settings = [(name, said) for name, said in asked.items() if said]
    finish = Finish(
        Division(test_share, unseen_below, seed),
        speech,
        plan.rules.without,
        traits,
        avonet,
        tuple(elton or ()),
        settings,
    )
    _run(plan, finish, dry_run)


def _run(plan: Plan, asked: Finish, dry_run: bool) -> None:
    from edgeapp.collect.catalogue import FILE
    from edgeapp.collect.finish import finish
    from edgeapp.collect.manifest import require_pyarrow
    from edgeapp.collect.pipeline import opened

    require_pyarrow()
    asked.tables()  # what cannot be read is told before anything is fetched
    if not plan.sources and not (plan.output / FILE).is_file():
        names = ", ".join(f"--{name}" for name in KINDS)
        raise UsageError("no source is named", f"name at least one: {names}")
    with opened(plan) as collection:
        try:
            collection.gather()
            collection.decide()
            if dry_run:
                _say_estimate(collection)
            else:
                collection.fetch()
                written = finish(collection.catalogue, plan.backbone, asked, complain)
                _say_result(collection)
                say(f"{written.path} describes {written.rows:,} files, and {CARD} beside it the set")
        except KeyboardInterrupt:
            complain(f"stopped; what came is in {plan.output}, and the same command goes on")
            raise
    if not collection.report.whole:
        raise typer.Exit(1)


def _say_estimate(collection: Collection) -> None:
    from edgeapp.collect.estimate import estimated

    found = estimated(collection.catalogue, collection.client)
    say(f"would fetch {_counted(found.files)} of {found.species:,} species, {_bytes(found)}")
    if found.here:
        say(f"{found.here:,} files are here already, {size(found.here_bytes)}")
    _say_left_out(collection)


def _bytes(found: Estimate) -> str:
    files = sum(found.files.values())
    if not files:
        return "nothing"
    if found.unknown == files:
        return "of unknown size"
    about = "about " if found.guessed else ""
    rest = f", and {found.unknown:,} files of unknown size" if found.unknown else ""
    return f"{about}{size(found.bytes)}{rest}"


def _say_result(collection: Collection) -> None:
    catalogue, report = collection.catalogue, collection.report
    here = {modality: n for modality, n, _ in catalogue.counts("modality", where="state = 'downloaded'")}
    [(_, n_bytes)] = catalogue.counts(where="state = 'downloaded'")
    species = catalogue.taxa("state = 'downloaded'")
    say(f"{_counted(here)} of {species:,} species are in {collection.plan.output}, {size(n_bytes)}")
    say(f"in this run {report.fetched:,} were fetched, {size(report.bytes)}, and {report.failed:,} failed")
    [(left, _)] = catalogue.counts(where="state = 'chosen'")
    if left:
        say(f"{left:,} are left; the same command goes on")
    _say_left_out(collection)


def _say_left_out(collection: Collection) -> None:
    from edgeapp.collect.row import LEFT_OUT

    reasons = collection.catalogue.counts("reason", where=f"state = '{LEFT_OUT}'")
    for reason, n, _ in sorted(reasons, key=lambda one: -one[1])[:SHOWN]:
        say(f"left out: {n:,}, {reason}")


def _counted(files: dict[str, int]) -> str:
    words = [f"{files.get(modality, 0):,} {NOUNS[modality]}" for modality in MODALITIES if files.get(modality)]
    return " and ".join(words) or "no files"


def _modalities(text: str) -> tuple[str, ...]:
    named = {word.strip() for word in text.split(",") if word.strip()}
    if not named or named - set(MODALITIES):
        raise UsageError(f"--modalities {text!r} is none", f"write {', '.join(MODALITIES)} or one of them")
    return tuple(modality for modality in MODALITIES if modality in named)


def _key(path: Path | None) -> str:
    from edgeapp.collect.sources.xeno_canto import KEY_VARIABLE

    if path is None:
        return os.environ.get(KEY_VARIABLE, "").strip()
    try:
        key = path.read_text(encoding="utf-8-sig").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise UsageError(f"{path}: the key cannot be read ({reason})", "check the path") from None
    if not key or len(key.split()) != 1:
        raise UsageError(f"{path}: has no key", "write the key alone into the file")
    return key


def _with_sources(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command an option for each source of the registry, which may be given several times."""
    hints = get_type_hints(command, include_extras=True)
    own = [
        parameter.replace(annotation=hints[name], kind=inspect.Parameter.KEYWORD_ONLY)
        for name, parameter in inspect.signature(command).parameters.items()
        if name != "sources"
    ]
    options = {f"source_{name.replace('-', '_')}": name for name in KINDS}
    sources = [
        inspect.Parameter(
            option,
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[
                list[str] | None,
                typer.Option(f"--{name}", metavar=KINDS[name].metavar, help=KINDS[name].help, rich_help_panel=SOURCES),
            ],
        )
        for option, name in options.items()
    ]

    def called(**given: Any) -> None:
        named = [(name, what) for option, name in options.items() for what in given.pop(option) or ()]
        command(named, **given)

    parameters = [own[0], *sources, *own[1:]]
    called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    called.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    called.__name__, called.__doc__, called.__module__ = "collect", command.__doc__, command.__module__
    return called


collect = _with_sources(_collect)
