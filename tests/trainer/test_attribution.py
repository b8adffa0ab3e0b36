"""A checkpoint says what it and the stages before it were trained on."""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import replace
from pathlib import Path

from trainer.attribution import ATTRIBUTION, HEADER, of_weights, record, rows_of
from trainer.data.manifest import Manifest, hold_out


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / ATTRIBUTION).open(newline="") as file:
        return list(csv.DictReader(file))


def test_each_stage_of_a_run_lists_what_it_stands_on(run_folder: Path, manifest: Manifest) -> None:
    kinds = (("audio", manifest.recordings), ("image", manifest.photos))
    trained = {kind: hold_out(samples, 0.2, 1)[0] for kind, samples in kinds}
    recordings, photos = (len({*rows_of(kind, some, manifest.taxa)}) for kind, some in trained.items())
    assert len(trained["audio"]) < len(manifest.recordings)  # what was held out is not listed
    for stage in ("base", "stage1", "stage2"):
        listed = Counter(row["modality"] for row in rows(run_folder / stage))
        assert listed == {"image": photos} | ({"audio": recordings} if stage != "base" else {})


def test_a_row_has_author_licence_and_source(manifest: Manifest, tmp_path: Path) -> None:
    record(tmp_path, rows_of("audio", manifest.recordings[:1], manifest.taxa))
    (row,) = rows(tmp_path)
    assert tuple(row) == HEADER
    assert (row["author"], row["licence"], row["source"]) == ("A. Author", "CC0-1.0", "tests")
    assert row["scientific_name"] in {taxon.scientific_name for taxon in manifest.taxa}


def test_pages_are_kept_and_older_files_have_none(manifest: Manifest, tmp_path: Path) -> None:
    sample = replace(manifest.recordings[0], page="https://page.example/1")
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / ATTRIBUTION).write_text(f"{','.join(HEADER[:-1])}\nimage,Parus major,a,b,A. Author,CC0-1.0\n")
    record(tmp_path / "new", rows_of("audio", [sample], manifest.taxa), [tmp_path / "old"])
    assert [row["page"] for row in rows(tmp_path / "new")] == ["https://page.example/1", ""]


def test_what_two_stages_share_is_listed_once(manifest: Manifest, tmp_path: Path) -> None:
    record(tmp_path / "a", rows_of("audio", manifest.recordings, manifest.taxa))
    record(tmp_path / "b", rows_of("audio", manifest.recordings[:3], manifest.taxa), [tmp_path / "a", tmp_path / "no"])
    assert sorted(map(str, rows(tmp_path / "b"))) == sorted(map(str, rows(tmp_path / "a")))


def test_recordings_without_a_name_are_listed_without_one(manifest: Manifest, tmp_path: Path) -> None:
    record(tmp_path, rows_of("audio", manifest.recordings[:1], []))
    assert rows(tmp_path)[0]["scientific_name"] == ""


def test_published_weights_are_named_by_their_address(tmp_path: Path) -> None:
    record(tmp_path, [of_weights("hf-hub:a/b@123")])
    assert rows(tmp_path)[0] | {"modality": "weights", "source": "hf-hub:a/b", "source_id": "123"} == rows(tmp_path)[0]
