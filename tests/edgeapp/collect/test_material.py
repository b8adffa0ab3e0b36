"""A collection's manifest as material of a gallery."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from edgeapp.collect.material import collected
from edgeapp.errors import UsageError
from edgeapp.recognition.material import Material


def test_files_come_with_their_authors_licences_and_pages(tmp_path):
    rows = {
        "path": ["image/a.jpg", "audio/b.wav", "image/c.jpg"],
        "scientific_name": ["Parus major"] * 3,
        "modality": ["image", "audio", "film"],
        "author": ["A. <b>Photographer</b>", None, ""],
        "licence": ["CC-BY-4.0", "CC0-1.0", ""],
        "source_path": ["https://page.example/a", "", ""],
        "sha256": ["ab", "", ""],
    }
    path = tmp_path / "manifest.parquet"
    pq.write_table(pa.table(rows), path)
    photo, recording, refused = collected(path)
    assert isinstance(photo, Material) and isinstance(recording, Material)
    assert (photo.path, photo.scientific_name, photo.modality) == (tmp_path / "image/a.jpg", "Parus major", "image")
    assert (photo.licence, photo.source, photo.sha256) == ("CC-BY-4.0", "https://page.example/a", "ab")
    assert recording.modality == "audio"
    assert refused.label == "manifest.parquet row 3"


def test_what_is_no_manifest_is_refused(tmp_path):
    path = tmp_path / "manifest.parquet"
    with pytest.raises(UsageError, match="cannot be read"):
        list(collected(path))
    path.write_bytes(b"path,scientific_name\n")
    with pytest.raises(UsageError, match="is no Parquet file"):
        list(collected(path))
    pq.write_table(pa.table({"path": ["a"]}), path)
    with pytest.raises(UsageError, match="has no column scientific_name"):
        list(collected(path))
