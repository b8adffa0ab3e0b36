"""Installed packs: their folders, the default one, and the meaning of `--pack`.

A folder of packs holds::

    NAME/              a pack
    default            name of the pack that was chosen, in one line; without it the best one is the default
    .NAME.*.part/      an installation in progress, or what a killed one left; the next one removes it
    .NAME.old/         the pack that is being replaced, where the system cannot exchange two names in one step

Packs are looked for in the user's folder of data, then beside the program: in its environment, which a service and all
users of the program share. ``BIOVITA_PACKS`` names one folder instead of both. The starter pack is part of the program.

Nothing here takes another pack because one is damaged: that would change what a device detects, silently.
"""

from __future__ import annotations

import difflib
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edgeapp.errors import PackError, UsageError
from edgeapp.file_names import portable
from edgeapp.pack.format import Pack
from edgeapp.paths import PROGRAM, STARTER_PACK, data_folder
from gallery.errors import reason_of
from gallery.files import ASIDE, locked, write_text

VARIABLE = "BIOVITA_PACKS"
BEST = (
    "birdnet",
    "biovita",
    "starter",
)  # presets, the best first; packs of other presets are the default only if chosen
STARTER = "starter"
CHOICE = "default"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")
RESERVED = (STARTER, CHOICE)
LIST = "`biovita-edge pack list` shows them"


@dataclass(frozen=True)
class Installed:
    """A pack under the name it was installed with.

    Attributes
    ----------
    name : str
    folder : Path
    """

    name: str
    folder: Path


@dataclass(frozen=True)
class Found:
    """The pack that is meant.

    Attributes
    ----------
    folder : Path
    why : str
        Why this one: ``named``, ``chosen with `pack use` ``, ``the best one installed``.
    name : str or None
        Of an installed pack.
    """

    folder: Path
    why: str
    name: str | None = None


def pack_folders() -> tuple[Path, ...]:
    """Where packs are looked for, the first folder first; they need not be there."""
    if named := os.environ.get(VARIABLE, "").strip():
        return (Path(named).expanduser().absolute(),)
    return data_folder() / "packs", Path(sys.prefix) / "share" / PROGRAM / "packs"


def folder_to_change(shared: bool = False) -> Path:
    """Where packs are installed: the user's folder, or the one beside the program.

    Raises
    ------
    UsageError
        ``BIOVITA_PACKS`` names the only folder there is.
    """
    folders = pack_folders()
    if shared and len(folders) == 1:
        raise UsageError(f"--shared, and {VARIABLE} names the folder of packs", f"omit --shared or {VARIABLE}")
    return folders[-1] if shared else folders[0]


def installed_packs() -> tuple[Installed, ...]:
    """Every installed pack, damaged ones included, in the order of names, the starter pack last.

    Raises
    ------
    PackError
        A folder of packs that cannot be read.
    """
    found: dict[str, Installed] = {}
    for folder in pack_folders():
        for one in _packs_in(folder):
            found.setdefault(one.name, one)
    return (*sorted(found.values(), key=lambda one: one.name), Installed(STARTER, STARTER_PACK))


def find_pack(named: str | os.PathLike[str] | None = None) -> Found:
    """The pack of a name, or in a folder; the default one when None.

    What has no slash in it is the name of an installed pack first, and a folder here if none is called so.

    Raises
    ------
    PackError
        There is no such pack, or which one is the default cannot be said.
    """
    if named is None:
        return default_pack()
    text = os.path.expanduser(os.fspath(named))
    if not re.search(r"[/\\]", text):
        packs = installed_packs()
        for one in packs:
            if one.name == text:
                return Found(one.folder, "named", one.name)
        if not text or not Path(text).is_dir():
            near = difflib.get_close_matches(text, [one.name for one in packs], n=1)
            remedy = f"did you mean {near[0]!r}?" if near else f"give an installed pack, {LIST}, or a folder"
            raise PackError(f"pack {text!r}: is not installed, and not a folder", remedy)
    return Found(Path(text), "named")


def load_pack(named: str | os.PathLike[str] | None = None, verify: bool = True) -> Pack:
    """Find a pack and read it; see `find_pack` and `Pack.load`.

    Raises
    ------
    PackError
        Naming the pack and what is wrong with it. No other pack is taken in its place.
    """
    return load_found(find_pack(named), verify)


def load_found(found: Found, verify: bool = True) -> Pack:
    """Read what `find_pack` found."""
    try:
        return Pack.load(found.folder, verify)
    except PackError as fault:
        if found.name is None:
            raise
        raise PackError(f"{fault.what} ({found.why})" if found.why != "named" else fault.what, repair(found)) from None


def repair(found: Found | Installed) -> str:
    """What to do about an installed pack that cannot be used."""
    if found.folder == STARTER_PACK:
        return "install biovita-edge again, or name another pack with --pack"
    folders = pack_folders()
    shared = " --shared" if len(folders) > 1 and found.folder.parent == folders[-1] else ""
    return (
        f"install it again, remove it with `biovita-edge pack remove {found.name}{shared}`, or choose another with "
        "`biovita-edge pack use`"
    )


def default_pack() -> Found:
    """The chosen pack, else the best one installed.

    The best one is of the first preset of `BEST` of which there is a pack; of several, the one that bears the name of
    the preset, else the first by name.

    Raises
    ------
    PackError
        The chosen pack is not installed, or a pack that may be the best one is damaged.
    """
    packs = installed_packs()
    if (choice := chosen()) is not None:
        name, file = choice
        for one in packs:
            if one.name == name:
                return Found(one.folder, "chosen with `pack use`", name)
        raise PackError(
            f"pack {name!r}: is chosen in {file}, and not installed",
            "install it, choose another with `biovita-edge pack use NAME`, or the best one with `pack use --best`",
        )
    ranked = []
    for one in packs:
        rank, fault = _rank(one)
        if rank is not None:
            # A damaged pack may be of any preset: one named as a preset counts as it, any other as the best.
            ranked.append((rank, fault is not None, one.name != BEST[rank], one.name, one, fault))
    _, _, _, name, best, fault = min(ranked, key=lambda row: row[:4])
    if fault is not None:
        raise PackError(f"{fault.what} (unknown whether it is the best pack)", repair(best))
    return Found(best.folder, "the best one installed", name)


def chosen() -> tuple[str, Path] | None:
    """The name that `pack use` wrote, and the file it stands in.

    Raises
    ------
    PackError
        The file cannot be read, or holds no name.
    """
    for folder in pack_folders():
        file = folder / CHOICE
        try:
            name = file.read_text(encoding="utf-8").strip()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (OSError, UnicodeDecodeError) as error:
            raise PackError(f"{file}: {reason_of(error)}", _CHOOSE_AGAIN) from None
        if not NAME.fullmatch(name):
            raise PackError(f"{file}: does not hold the name of a pack", _CHOOSE_AGAIN)
        return name, file
    return None


_CHOOSE_AGAIN = "choose again with `biovita-edge pack use NAME`, or `pack use --best`"


def choose(name: str | None, shared: bool = False) -> Path:
    """Make a pack the default, or with None the best one.

    Parameters
    ----------
    name : str or None
        Of an installed pack, which is read and checked first.
    shared : bool
        For all users of the program.

    Returns
    -------
    Path
        The file that says so.

    Raises
    ------
    PackError
        The pack is not installed or damaged, or the file cannot be written.
    """
    folder = folder_to_change(shared)
    file = folder / CHOICE
    if name is not None:
        found = next((one for one in installed_packs() if one.name == name), None)
        if found is None:
            near = difflib.get_close_matches(name, [one.name for one in installed_packs()], n=1)
            remedy = f"did you mean {near[0]!r}?" if near else f"install it, or name one that is, {LIST}"
            raise PackError(f"pack {name!r}: is not installed", remedy)
        load_found(Found(found.folder, "named", name))
    try:
        if name is None:
            file.unlink(missing_ok=True)
        else:
            folder.mkdir(parents=True, exist_ok=True)
            with locked(folder):
                write_text(file, f"{name}\n")
    except OSError as error:
        raise PackError(f"{file}: {error.strerror or error}", f"check the folder, or set {VARIABLE}") from None
    return file


def check_name(name: str) -> str:
    """The name itself, when a pack can be installed under it.

    Raises
    ------
    UsageError
    """
    if name in RESERVED:
        raise UsageError(f"invalid name of a pack: {name!r}", "give it another name with --name")
    if not NAME.fullmatch(name) or portable(name) != name:
        remedy = "give a name of letters, digits, '.', '_', '+' and '-' with --name, and none that Windows reserves"
        raise UsageError(f"invalid name of a pack: {name[:80]!r}", remedy)
    return name


def _rank(one: Installed) -> tuple[int | None, PackError | None]:
    """Place of a pack among `BEST`, None for a preset that is not there; and what is wrong with it."""
    try:
        preset = Pack.load(one.folder, verify=False).preset
    except PackError as fault:
        if one.folder == STARTER_PACK:
            return BEST.index(STARTER), fault
        return BEST.index(one.name) if one.name in BEST else 0, fault
    return BEST.index(preset) if preset in BEST else None, None


def _packs_in(folder: Path) -> Iterator[Installed]:
    try:
        names = sorted(os.listdir(folder))
    except FileNotFoundError:
        return
    except OSError as error:
        raise PackError(f"{folder}: {error.strerror or error}", f"check the folder of packs, or {VARIABLE}") from None
    for name in names:
        own = name
        if name.startswith(".") and name.endswith(ASIDE):
            own = name[1 : -len(ASIDE)]
            if own in names:
                continue
        if NAME.fullmatch(own) and own not in RESERVED and (folder / name).is_dir():
            yield Installed(own, folder / name)


def size_bytes(folder: Path) -> int:
    """Size of the files of a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
