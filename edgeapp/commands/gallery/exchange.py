"""``biovita-edge gallery merge``, ``export`` and ``import``: what one station collected or learnt goes to others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Annotated

import typer

from edgeapp.commands.gallery.files import Changed, Shown, complain_of, refuse_packed, shown
from edgeapp.commands.options import PackOption
from edgeapp.errors import OutputError, UsageError
from edgeapp.folders import Search
from edgeapp.terminal import counted, tell

if TYPE_CHECKING:
    from gallery.entry import EncoderIdentity, Entry, Rejection
    from gallery.merging import Merged
    from gallery.store import Gallery

CLIP = "clip "  # what the source of a learnt recording has before the path of its clip

Licence = Annotated[
    str,
    typer.Option(
        "--licence",
        metavar="TEXT",
        help="Licences of photos and recordings to take, such as 'CC0|CC BY*'; all if not given.",
    ),
]


def merge(
    gallery: Changed,
    others: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Galleries of the same encoders.")],
    licence: Licence = "",
) -> None:
    """Add the taxa, entries and counterexamples of other galleries to a gallery, which is made if it is not there.

    The same file is one entry. A taxon that is known under a synonym is added under the accepted name of FILE.
    """
    from gallery.merging import merge as merged
    from gallery.store import Gallery

    refuse_packed(gallery)
    licensed = _licensed(licence)
    with ExitStack() as opened:
        sources = [opened.enter_context(Gallery.open(other)) for other in others]
        for other in others:
            if gallery.exists() and other.exists() and gallery.samefile(other):
                raise UsageError(f"{other}: is the gallery itself", "name other galleries")
        identity = _require_one_space([(one.path, one.identity) for one in sources])
        _into(gallery, identity, [partial(merged, source=one, licensed=licensed) for one in sources])


def import_(
    gallery: Changed,
    folders: Annotated[list[Path], typer.Argument(metavar="FOLDER...", help="Folders that `gallery export` wrote.")],
    licence: Licence = "",
) -> None:
    """Add exported galleries to a gallery, which is made if it is not there; the same file is one entry."""
    from gallery.exchange import Imported
    from gallery.merging import take

    refuse_packed(gallery)
    licensed = _licensed(licence)
    sources = [Imported(folder) for folder in folders]

    def taken(to: Gallery, one: Imported) -> Merged:
        done = take(to, one.taxa(), one.entries(), one.counterexamples(), licensed)
        done.rejected += one.rejected
        return done

    identity = _require_one_space([(folder, one.identity) for folder, one in zip(folders, sources)])
    _into(gallery, identity, [partial(taken, one=one) for one in sources])


def export(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="New folder to write into.")],
    gallery: Shown = None,
    pack: PackOption = None,
    licence: Licence = "",
    sounds: Annotated[
        Path | None,
        typer.Option(
            "--sounds", metavar="FOLDER", help="Folder of the recordings or clips that entries were made of, to add."
        ),
    ] = None,
) -> None:
    """Write a gallery into a folder: species, entries, photos, vectors, licences and credits, for `gallery import`."""
    from gallery.exchange import export as exported
    from gallery.store import Gallery

    if sounds is not None and not sounds.is_dir():
        raise UsageError(f"{sounds}: is not a folder", "name the folder of the recordings or clips")
    with Gallery.open(shown(gallery, pack)) as opened:
        try:
            done = exported(opened, folder, _licensed(licence), _Sounds(sounds) if sounds else lambda entry: None)
        except OSError as error:
            raise OutputError(
                f"{folder}: cannot be written ({error.strerror or error})", "check the folder and the free space"
            ) from None
    left_out = f"; {done.left_out} of other licences left out" if done.left_out else ""
    tell(
        f"{folder}: {done.taxa} taxa, {done.entries} entries, {done.photos} photos, {done.sounds} sounds, "
        f"{done.counterexamples} counterexamples{left_out}"
    )


class _Sounds:
    """Recordings in a folder: by the clip that a source names, or by the name and hash of a file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, list[Path]] = {}
        for path in Search(lambda name: True, lambda name: True).below(folder):
            if path.is_file():
                self._files.setdefault(path.name, []).append(path)

    def __call__(self, entry: Entry) -> Path | None:
        from edgeapp.pack.hashes import sha256

        clips = [part.removeprefix(CLIP) for part in entry.source.split(", ") if part.startswith(CLIP)]
        for wanted in (*clips, entry.label):
            parts = PurePath(wanted).parts
            for path in self._files.get(PurePath(wanted).name, ()):
                if path.parts[-len(parts) :] == parts and entry.sha256 in ("", sha256(path)):
                    return path
        return None


def _licensed(patterns: str) -> Callable[[str], bool]:
    from edgeapp.collect.licences import Terms
    from gallery.licences import spdx

    if not patterns:
        return lambda licence: True
    terms = Terms.of(patterns)
    return lambda licence: terms.allows(spdx(licence))


def _require_one_space(of: Sequence[tuple[Path, EncoderIdentity]]) -> EncoderIdentity:
    """The encoders of several galleries, which must be the same."""
    from gallery.errors import GalleryError

    first = of[0][1]
    for path, one in of:
        if (one.space, one.dim) != (first.space, first.dim):
            raise GalleryError(
                f"gallery {path} was made by other encoders: '{one.space}'", "name galleries of the same encoders"
            )
    return first


def _into(gallery: Path, identity: EncoderIdentity, steps: list[Callable[[Gallery], Merged]]) -> None:
    """Do steps with a gallery, all in one transaction, or make it of them."""
    from gallery.store import Gallery, build

    with ExitStack() as opened:
        if gallery.exists():
            to = opened.enter_context(Gallery.open(gallery, identity, readonly=False))
            opened.enter_context(to.transaction())
        else:
            to = opened.enter_context(build(gallery, identity))
        done = [step(to) for step in steps]
    _tell(gallery, done)


def _tell(gallery: Path, done: list[Merged]) -> None:
    rejected: list[Rejection] = [one for each in done for one in each.rejected]
    for one in rejected:
        complain_of(one)
    for each in done:
        for name, accepted in each.renamed.items():
            tell(f"{name}: added as {accepted}, its accepted name in {gallery}")
        if each.differing:
            tell(f"{counted(len(each.differing), 'taxon', 'taxa')} kept with the names and ranks of {gallery}")
        for licence, n in each.not_shown.items():
            tell(f"{counted(n, 'photo')} not kept to be shown, as the licence is not known to allow it: '{licence}'")
    entries = ", ".join(f"{sum(each.entries[one] for each in done)} {one}" for one in ("text", "image", "audio"))
    tell(
        f"{gallery}: {sum(each.taxa for each in done)} taxa added, entries added: {entries}; "
        f"{sum(each.counterexamples for each in done)} counterexamples added; "
        f"{sum(each.known for each in done)} there already" + (f"; {len(rejected)} failed" if rejected else "")
    )
    if rejected:
        raise typer.Exit(1)
