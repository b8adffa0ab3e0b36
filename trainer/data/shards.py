"""Recordings and photos packed into tar shards, for disks and servers that are slow with millions of small files.

Files:

    audio-000000.tar    000000000.mp3, 000000000.json, 000000001.flac, 000000001.json, ...
    image-000000.tar    photos, likewise
    manifest.parquet    one row per sample, with shard, offset and size, and the ranks of its species
    .writing/           during writing: fingerprint of the input (`key`), and the rows of each finished shard

The members follow WebDataset: those of one sample share a key and are adjacent. The manifest is one that
`trainer.data.manifest` reads, so a sample is found by its offset without reading the tar. An interrupted run can resume
because a shard is written under a temporary name, its rows are stored, and only then it is renamed: a shard with both
its name and its rows is finished, and any other is rebuilt. The manifest is written last, so it never refers to an
unfinished shard.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError

from edgeapp.audio.file import FileSource
from edgeapp.audio.microphones.complaints import overheard
from edgeapp.audio.windows import MIN_CLIP_S
from edgeapp.errors import AudioError
from gallery import Taxon, files
from trainer.data.layouts import TAXONOMY
from trainer.data.manifest import Manifest
from trainer.data.media import called, opened
from trainer.data.samples import Sample, Samples
from trainer.data.tables import arrow
from trainer.errors import ConfigError, DataError

MB = 1_000_000
SHARD_MB = 1000  # large enough to be read at the full speed of a disk, small enough to be copied again
MANIFEST, WRITING, KEY = "manifest.parquet", ".writing", "key"
META = b"biovita_edge"  # key of the metadata in the Parquet files
KEY_DIGITS = 9
LONGEST_SUFFIX = 8  # letters, with the full stop
NOT_A_PICTURE = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)  # what Pillow's readers raise


@dataclass(frozen=True)
class Sharded:
    """Result of packing.

    `skipped` has one line for each sample that could not be read or decoded, `damaged` one for each recording that was
    packed although it ends early.
    """

    manifest: Path
    shards: int
    recordings: int
    photos: int
    skipped: tuple[str, ...]
    damaged: tuple[str, ...]


@dataclass(frozen=True)
class Packed:
    """A sample with the bytes that go into a shard."""

    sample: Sample
    name: str  # of its original file
    data: bytes
    fault: str = ""


def write_shards(
    manifest: Manifest, out: Path, shard_mb: int = SHARD_MB, threads: int = 2, done: Callable[[], None] = lambda: None
) -> Sharded:
    """Pack the samples of a manifest into shards, in its order; resumes an interrupted call.

    Every file is decoded once, so that all samples in a shard can be trained on.

    Parameters
    ----------
    manifest : with whole files or, to repack them, with samples in shards
    out : folder of the shards
    shard_mb : size at which a shard is closed, in MB
    threads : number of threads that read and decode
    done : called after each sample, for a progress bar

    Raises
    ------
    ConfigError
        When `shard_mb` is not positive.
    DataError
        When `out` holds something else, or cannot be written.
    """
    if shard_mb < 1:
        raise ConfigError(f"--shard-mb {shard_mb} is less than 1", "1000 makes shards of a gigabyte")
    key = _key(manifest, shard_mb)
    try:
        if (out / MANIFEST).exists():
            return _finished(out, key)
        _begin(out, key)
        with overheard(), ThreadPoolExecutor(threads) as pool:  # an MP3 decoder reports damage that it skips
            for modality, samples in (("audio", manifest.recordings), ("image", manifest.photos)):
                _pack(_Part(out, modality, manifest.taxa, samples, shard_mb * MB), pool, 2 * threads, done)
        _publish(out, key)
        shutil.rmtree(out / WRITING)
        return _finished(out, key)
    except OSError as error:
        raise DataError(
            f"{out}: cannot be written ({error.strerror or error})", "free disk space, then repeat the command"
        ) from error


def _key(manifest: Manifest, shard_mb: int) -> str:
    """Fingerprint of everything that the shards depend on."""
    digest = hashlib.sha256(f"{shard_mb} {manifest.recordings.digest()} {manifest.photos.digest()}".encode())
    digest.update("\n".join(taxon.scientific_name for taxon in manifest.taxa).encode())
    return digest.hexdigest()


def _begin(out: Path, key: str) -> None:
    """Create the folder, or check that the run to resume in it has the same key."""
    started = out / WRITING / KEY
    if started.exists():
        _require_key(out, started.read_text(encoding="utf-8"), key)
        return
    if out.exists() and (not out.is_dir() or any(path.name != WRITING for path in out.iterdir())):
        raise DataError(f"{out}: exists and has no shards", "name another folder with --out")
    files.write_text(started, key, parents=True)


def _require_key(out: Path, theirs: str, key: str) -> None:
    if theirs != key:
        raise DataError(f"{out}: has shards of another manifest or size", "name another folder with --out")


@dataclass(frozen=True)
class _Part:
    """The recordings or the photos of a manifest, and their shards."""

    out: Path
    modality: str
    taxa: tuple[Taxon, ...]
    samples: Samples
    most_bytes: int

    def shard(self, number: int) -> Path:
        return self.out / f"{self.modality}-{number:06d}.tar"

    def rows(self, number: int) -> Path:
        return self.out / WRITING / f"{self.modality}-{number:06d}.parquet"

    def finished(self, number: int) -> dict[str, Any] | None:
        """Metadata of a finished shard; None if it is unfinished."""
        if not self.rows(number).exists():
            return None
        meta = _meta(self.rows(number))
        return meta if self.shard(number).exists() or not meta["written"] else None


def _pack(part: _Part, pool: ThreadPoolExecutor, ahead: int, done: Callable[[], None]) -> None:
    number = row = 0
    while known := part.finished(number):
        for _ in range(row, known["next"]):
            done()
        row, number = known["next"], number + 1
    read = _read_ahead(part, row, pool, ahead)
    while row < len(part.samples):
        row = _write_shard(part, number, read, done)
        number += 1


def _read_ahead(part: _Part, first: int, pool: ThreadPoolExecutor, ahead: int) -> Iterator[tuple[int, Packed | str]]:
    """Samples from a row on in their order, several of which are read and decoded at once."""
    waiting: deque[tuple[int, Future[Packed | str]]] = deque()
    for row, sample in enumerate(part.samples[first:], start=first):
        waiting.append((row, pool.submit(read_sample, sample, part.modality)))
        if len(waiting) > ahead:
            number, packed = waiting.popleft()
            yield number, packed.result()
    for number, packed in waiting:
        yield number, packed.result()


def _write_shard(part: _Part, number: int, read: Iterator[tuple[int, Packed | str]], done: Callable[[], None]) -> int:
    """Fill one shard and store its rows; returns the row of the first sample after it."""
    shard, rows, skipped, damaged = part.shard(number), [], [], []
    following, held_out = len(part.samples), part.samples.held_out
    with (
        files.temporary_for(shard) as beside,
        beside.open("wb") as file,
        tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        for row, packed in read:
            done()
            if isinstance(packed, str):
                skipped.append(packed)
                continue
            if packed.fault:
                damaged.append(packed.fault)
            described = _described(part, packed)
            suffix = Path(packed.name).suffix.lower()
            suffix = suffix if 1 < len(suffix) <= LONGEST_SUFFIX else ".bin"  # a title with a full stop has no suffix
            offset = _add(tar, file, f"{row:0{KEY_DIGITS}d}{suffix}", packed.data)
            _add(tar, file, f"{row:0{KEY_DIGITS}d}.json", json.dumps(described, ensure_ascii=False).encode())
            digest = hashlib.sha256(packed.data).hexdigest()  # to find copies when the manifest is read
            place = {"shard": shard.name, "offset": offset, "size": len(packed.data)}
            rows.append({**described, "sha256": digest, **place})
            if held_out is not None:
                rows[-1]["split"] = "test" if held_out[row] else "train"
            if file.tell() >= part.most_bytes:
                following = row + 1
                break
        tar.close()
        file.close()
        known = {"next": following, "written": len(rows), "skipped": skipped, "damaged": damaged}
        with files.replacing(part.rows(number)) as stored:
            arrow("parquet").write_table(_table(rows, known), stored)
        if rows:
            files.put_in_place(beside, shard)
    return following


def _add(tar: tarfile.TarFile, file: Any, name: str, data: bytes) -> int:
    """Add a member; returns the offset of its first byte."""
    member = tarfile.TarInfo(name)
    member.size = len(data)
    offset = file.tell() + tarfile.BLOCKSIZE
    tar.addfile(member, io.BytesIO(data))
    return offset


def _described(part: _Part, packed: Packed) -> dict[str, str]:
    """A sample in the columns of a manifest."""
    sample, taxon = packed.sample, part.taxa[packed.sample.taxon]
    taxon_ranks = {name: taxon.common_name if name == "common_name" else taxon.at(name) for name in TAXONOMY}
    return {
        "modality": part.modality,
        "path": packed.name,
        "scientific_name": taxon.scientific_name,
        **taxon_ranks,
        "source_repo": sample.source[0],
        "source_id": sample.source[1],
        "author": sample.author,
        "licence": sample.licence,
        "source_path": sample.page,
    }


def read_sample(sample: Sample, modality: str) -> Packed | str:
    """The bytes of a sample, or the reason why it cannot be decoded."""
    try:
        with opened(sample) as file:
            data = file.read()
        name = sample.path.name if sample.size is None else _member(sample)
        return Packed(sample, name, data, _decode(data, modality, called(sample)))
    except (DataError, AudioError) as error:
        return str(error)
    except OSError as error:
        return f"{called(sample)}: cannot be read ({error.strerror or error}); copy it again"


def _decode(data: bytes, modality: str, name: str) -> str:
    """Decode a sample; returns the damage of a usable recording, or an empty string."""
    file = io.BytesIO(data)
    if modality == "image":
        try:
            with Image.open(file) as image:
                image.load()
        except NOT_A_PICTURE as error:
            reason = "unknown format" if isinstance(error, UnidentifiedImageError) else error
            raise DataError(f"{name}: not a picture ({reason})", "remove the row") from error
        return ""
    file.name = name  # for messages
    source = FileSource(file)
    try:
        length_s = sum(len(block.samples) for block in source.blocks()) / source.rate_hz
    finally:
        source.close()
    if length_s < MIN_CLIP_S:
        raise DataError(f"{name}: only {length_s:.2f} s", "remove the row")
    return f"{name}: {source.fault}; copy the file again" if source.fault else ""


def _member(sample: Sample) -> str:
    """Name of a sample's member in its shard, from the header block before it."""
    with sample.path.open("rb") as file:
        file.seek(sample.offset - tarfile.BLOCKSIZE)
        try:
            return Path(tarfile.TarInfo.frombuf(file.read(tarfile.BLOCKSIZE), "utf-8", "replace").name).name
        except tarfile.HeaderError as error:
            raise DataError(f"{called(sample)}: not the start of a tar member", "rebuild the manifest") from error


def _table(rows: list[dict[str, Any]], known: dict[str, Any]) -> Any:
    """Rows of a shard as an Arrow table, with the metadata of the shard."""
    pa = arrow()
    numbers = {"offset": pa.int64(), "size": pa.int64()}
    columns = (
        {name: pa.array([row[name] for row in rows], numbers.get(name, pa.string())) for name in rows[0]}
        if rows
        else {}
    )
    return pa.table(columns).replace_schema_metadata({META: json.dumps(known)})


def _meta(path: Path) -> dict[str, Any]:
    """Metadata of a Parquet file written here; empty for other files."""
    return json.loads((arrow("parquet").read_schema(path).metadata or {}).get(META, b"{}"))


def _publish(out: Path, key: str) -> None:
    """Join the rows of all shards into the manifest."""
    parquet = arrow("parquet")
    parts = sorted((out / WRITING).glob("*.parquet"))
    metas = [_meta(path) for path in parts]
    filled = [path for path, meta in zip(parts, metas) if meta["written"]]
    skipped, damaged = ([line for meta in metas for line in meta[name]] for name in ("skipped", "damaged"))
    if not filled:
        raise DataError("not one sample could be packed", skipped[0] if skipped else "")
    known = {"key": key, "shards": len(filled), "skipped": skipped, "damaged": damaged}
    schema = arrow().unify_schemas([parquet.read_schema(path).remove_metadata() for path in filled])

    with (
        files.replacing(out / MANIFEST) as beside,
        parquet.ParquetWriter(beside, schema.with_metadata({META: json.dumps(known)})) as writer,
    ):
        for one in filled:
            writer.write_table(_in_schema(parquet.read_table(one), schema))


def _in_schema(table: Any, schema: Any) -> Any:
    """A table with all columns of a schema; only one of recordings and photos may have a split."""
    for name in schema.names:
        if name not in table.column_names:
            table = table.append_column(name, arrow().nulls(len(table), schema.field(name).type))
    return table.select(schema.names)


def _finished(out: Path, key: str) -> Sharded:
    """Contents of a finished folder."""
    path = out / MANIFEST
    try:
        known = _meta(path)
    except arrow().ArrowInvalid:
        known = {}
    _require_key(out, known.get("key", ""), key)
    table = arrow("parquet").read_table(path, columns=["modality", "shard"])
    for shard in table["shard"].unique().to_pylist():
        if not (out / shard).exists():
            raise DataError(f"{out / shard}: is missing", "restore it, or name another folder with --out")
    recordings = arrow("compute").sum(arrow("compute").equal(table["modality"], "audio")).as_py()
    return Sharded(
        path,
        known["shards"],
        recordings,
        len(table) - recordings,
        tuple(known["skipped"]),
        tuple(known["damaged"]),
    )
