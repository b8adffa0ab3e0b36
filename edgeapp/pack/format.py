"""The format of packs.

``pack.json`` (format 1) names the encoders, the sound they want, the decision parameters, and the sha256 of every other
file. It is written last and atomically, so a folder with a ``pack.json`` was once complete; `Pack.load` hashes the
files again, so a changed file is an error, not a wrong detection.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from edgeapp.errors import PackError
from edgeapp.pack.hashes import known_sha256, sha256
from edgeapp.pack.range import RangeSpec
from edgeapp.pack.specs import AudioSpec, ImageSpec, TextSpec
from edgeapp.pack.split import SplitSpec
from edgeapp.pack.values import boolean, line, mapping, parsed, shown, whole, words
from gallery.entry import MOST_DIM
from gallery.errors import BiovitaError
from gallery.files import SUFFIX, write_text
from gallery.parameters import DecisionParameters
from gallery.store import EncoderIdentity
from gallery.utc import now_text

FORMAT = 1
LONGEST_NAME = 255
PACK_FILE = "pack.json"
PACK_GALLERY = "gallery.sqlite"
UNCALIBRATED = "confidences are not calibrated, they only order the species; compare them within this pack alone"

# SQLite's own working files come and go beside the gallery.
UNHASHED_SUFFIXES = ("-wal", "-shm", "-journal", SUFFIX)

T = TypeVar("T")


@dataclass(frozen=True)
class Pack:
    """A checked pack.

    Attributes
    ----------
    folder : Path
    name, version, licence, created, preset : str
    space : str
        The embedding space: id of the checkpoint all encoders of the pack share.
    dim : int
    audio : AudioSpec
    text : TextSpec or None
    image : ImageSpec or None
    gallery : str or None
        File name of the pack's own gallery.
    decision : DecisionParameters
    metrics, parity : dict
        What was measured when the pack was made.
    precision : str
        That the graphs compute in: fp32, fp16 or int8.
    in_fp32 : dict
        Graph -> what of it still computes in float32.
    range : RangeSpec or None
        Its occurrence model.
    calibrated : bool
        Whether the decision parameters were fitted on recordings. Otherwise its confidences only order the species.
    files : dict
        File name -> sha256, hex.
    """

    folder: Path
    name: str
    version: str
    licence: str
    created: str
    preset: str
    space: str
    dim: int
    audio: AudioSpec
    text: TextSpec | None
    image: ImageSpec | None
    gallery: str | None
    decision: DecisionParameters
    metrics: Mapping[str, Any] = field(default_factory=dict)
    parity: Mapping[str, Any] = field(default_factory=dict)
    precision: str = "fp32"
    in_fp32: Mapping[str, list[str]] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    range: RangeSpec | None = None
    calibrated: bool = True

    @property
    def identity(self) -> EncoderIdentity:
        """The encoder identity that a gallery must have to be matched with this pack."""
        return EncoderIdentity(space=self.space, dim=self.dim, pack=f"{self.name} {self.version}")

    def path(self, name: str) -> Path:
        """Where a file of the pack lies."""
        return self.folder / name

    def gallery_path(self) -> Path:
        """Where the pack's own gallery lies.

        Raises
        ------
        PackError
            When it has none.
        """
        if self.gallery is None:
            raise PackError(f"pack {self.folder} has no gallery", "name one with --gallery")
        return self.path(self.gallery)

    @classmethod
    def load(cls, folder: str | os.PathLike[str], verify: bool = True) -> Pack:
        """Read the pack in a folder and check it; `edgeapp.pack.installed.load_pack` finds one by name.

        Parameters
        ----------
        folder : path
        verify : bool
            Hash every file. Without it files are only looked for.

        Raises
        ------
        PackError
            Naming the file that is missing, changed or unreadable, and the remedy.
        """
        where = Path(folder)
        remedy = "reinstall the pack, or name another with --pack"
        if not where.is_dir():
            raise PackError(f"pack {where}: is not a folder", remedy)
        document = _read(where / PACK_FILE, remedy)
        pack = _parse(where, document, remedy)
        for name in sorted({*pack.files, *_named(pack)}):
            if not (where / name).is_file():
                raise PackError(f"pack {where}: {name} is missing", remedy)
            if not (where / name).resolve().is_relative_to(where.resolve()):
                raise PackError(f"pack {where}: {name} is a link to a file outside the pack", remedy)
            if name not in pack.files:
                raise PackError(f"pack {where}: {PACK_FILE} has no sha256 of {name}", remedy)
            if verify and known_sha256(where / name) != pack.files[name]:
                raise PackError(f"pack {where}: {name} was changed since the pack was made", remedy)
        return pack


def write_pack_json(
    folder: str | os.PathLike[str],
    *,
    name: str,
    version: str,
    licence: str,
    preset: str,
    space: str,
    dim: int,
    audio: AudioSpec,
    decision: DecisionParameters,
    text: TextSpec | None = None,
    image: ImageSpec | None = None,
    gallery: str | None = None,
    metrics: Mapping[str, Any] | None = None,
    parity: Mapping[str, Any] | None = None,
    precision: str = "fp32",
    in_fp32: Mapping[str, list[str]] | None = None,
    range: RangeSpec | None = None,
    calibrated: bool = True,
    created: str | None = None,
) -> Path:
    """Make a folder a pack: hash its files and write ``pack.json``, last and atomically.

    Parameters
    ----------
    folder : path
        Already holds every other file of the pack.
    created : str or None
        ISO 8601 UTC; now when None.

    Returns
    -------
    Path
        The ``pack.json``.

    Raises
    ------
    PackError
        A file named by a spec is not in the folder.
    """
    folder = Path(folder)
    files = {
        path.relative_to(folder).as_posix(): sha256(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != PACK_FILE and not path.name.endswith(UNHASHED_SUFFIXES)
    }
    document: dict[str, Any] = {
        "format": FORMAT,
        "name": name,
        "version": version,
        "licence": licence,
        "created": created or now_text("seconds"),
        "preset": preset,
        "encoder": {"space": space, "dim": dim},
        "audio": audio.to_dict(),
    }
    if text is not None:
        document["text"] = asdict(text)
    if image is not None:
        document["image"] = asdict(image)
    if gallery is not None:
        document["gallery"] = gallery
    if range is not None:
        document["range"] = asdict(range)
    if not calibrated:
        document["calibrated"] = False
    document |= {
        "decision": decision.to_dict(),
        "metrics": dict(metrics or {}),
        "parity": dict(parity or {}),
        "precision": precision,
        "in_fp32": dict(in_fp32 or {}),
        "files": files,
    }
    for wanted in _named(_parse(folder, document, "")):
        if wanted not in files:
            raise PackError(f"pack {folder}: {wanted} is missing", "write it before pack.json")
    target = folder / PACK_FILE
    write_text(target, json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    return target


def adopt_gallery(pack: Pack, name: str = PACK_GALLERY) -> Pack:
    """Make a gallery that lies in a pack's folder the pack's own, by writing ``pack.json`` again.

    Building a gallery takes the pack's encoders, so the pack is there first and its gallery second.

    Raises
    ------
    PackError
        There is no such file in the folder.
    """
    rewritten(replace(pack, gallery=name))
    return Pack.load(pack.folder)


def rewritten(pack: Pack) -> None:
    """Write the ``pack.json`` of a pack again, as it is described now."""
    write_pack_json(
        pack.folder,
        name=pack.name,
        version=pack.version,
        licence=pack.licence,
        preset=pack.preset,
        space=pack.space,
        dim=pack.dim,
        audio=pack.audio,
        decision=pack.decision,
        text=pack.text,
        image=pack.image,
        gallery=pack.gallery,
        metrics=pack.metrics,
        parity=pack.parity,
        precision=pack.precision,
        in_fp32=pack.in_fp32,
        range=pack.range,
        calibrated=pack.calibrated,
        created=pack.created,
    )


def _read(path: Path, remedy: str) -> dict[str, Any]:
    try:
        document = parsed(path)
    except FileNotFoundError:
        raise PackError(f"pack {path.parent}: {PACK_FILE} is missing", remedy) from None
    except OSError as error:
        raise PackError(f"{path}: {error.strerror or error}", "make it readable") from None
    except ValueError as error:
        raise PackError(f"{path}: is not JSON ({error})", remedy) from None
    if not isinstance(document, dict):
        raise PackError(f"{path}: is not a JSON object", remedy)
    return document


def _parse(folder: Path, document: dict[str, Any], remedy: str) -> Pack:
    where = folder / PACK_FILE
    if document.get("format") != FORMAT or isinstance(document["format"], bool):
        raise PackError(
            f"{where}: format {shown(document.get('format'))}, this program reads format {FORMAT}",
            "update biovita-edge or get a matching pack",
        )
    try:
        decision = DecisionParameters.from_dict(mapping("decision", document["decision"]))
        encoder = mapping("encoder", document["encoder"])
        whole("encoder: dim", encoder["dim"], 1, MOST_DIM)
        files = mapping("files", document["files"])
        for name in ("name", "version", "licence", "created", "preset"):
            line(name, document[name])
        line("encoder: space", encoder["space"])
        for file, digest in files.items():
            words(f"files: {shown(file)}", digest)
        if document.get("gallery") is not None:
            words("gallery", document["gallery"])
        pack = Pack(
            folder=folder,
            name=document["name"],
            version=document["version"],
            licence=document["licence"],
            created=document["created"],
            preset=document["preset"],
            space=encoder["space"],
            dim=encoder["dim"],
            audio=_audio(mapping("audio", document["audio"])),
            text=TextSpec(**mapping("text", document["text"])) if document.get("text") else None,
            image=ImageSpec(**mapping("image", document["image"])) if document.get("image") else None,
            gallery=document.get("gallery"),
            decision=decision,
            metrics=mapping("metrics", document.get("metrics", {})),
            parity=mapping("parity", document.get("parity", {})),
            precision=str(document.get("precision", "fp32")),
            in_fp32=mapping("in_fp32", document.get("in_fp32", {})),
            files=dict(files),
            range=RangeSpec(**mapping("range", document["range"])) if document.get("range") else None,
            calibrated=boolean("calibrated", document.get("calibrated", True)),
        )
    except KeyError as error:
        raise PackError(f"{where}: {error.args[0]!r} is missing", remedy) from None
    except (TypeError, ValueError, OverflowError) as error:
        raise PackError(f"{where}: {error}", remedy) from None
    except BiovitaError as error:
        raise PackError(f"{where}: decision: {error}", remedy) from None
    for name in (*pack.files, *_named(pack)):
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise PackError(f"{where}: {name} lies outside the pack", remedy)
        if len(name) > LONGEST_NAME:
            raise PackError(f"{where}: {name[:40]}... is longer than a file's name can be", remedy)
    return pack


def _audio(document: Mapping[str, Any]) -> AudioSpec:
    split = document.get("split")
    return AudioSpec(**{**document, "split": SplitSpec.from_dict(split) if split else None})


def _named(pack: Pack) -> list[str]:
    """The required files of a pack."""
    names = [pack.audio.file]
    if pack.audio.split is not None:
        names += [pack.audio.split.front, pack.audio.split.trunk]
    if pack.text is not None:
        names += [pack.text.file, pack.text.tokenizer]
    if pack.image is not None:
        names.append(pack.image.file)
    if pack.gallery is not None:
        names.append(pack.gallery)
    if pack.range is not None:
        names += [pack.range.file, pack.range.taxa]
    return names
