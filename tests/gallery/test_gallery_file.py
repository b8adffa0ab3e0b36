"""The file itself: opening what is not a gallery, reading where nothing can be written, building, being cut off."""

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest
from sqlite_utils import Database

from gallery import EncoderIdentity, Entry, Gallery, GalleryError, Index, Taxon, Thumbnail, build, schema
from gallery.pictures import pictures


@contextmanager
def unprivileged() -> Iterator[None]:
    """Permissions do not bind the administrator: take part as somebody else."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def locked_folder(filled: Path) -> Iterator[Path]:
    """The gallery in a folder that nobody may write."""
    if os.name != "posix":
        pytest.skip("needs POSIX permissions")
    folder = filled.parent
    above = [parent for parent in folder.parents if parent.name.startswith(("pytest-", "popen-"))]
    modes = [(path, path.stat().st_mode) for path in above]
    for path in above:
        path.chmod(0o755)
    folder.chmod(0o555)
    yield filled
    folder.chmod(0o755)
    for path, mode in modes:
        path.chmod(mode)


def neighbours(path: Path) -> list[str]:
    return sorted(file.name for file in path.parent.iterdir())


def journal_mode(path: Path) -> str:
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as db:
        return db.execute("PRAGMA journal_mode").fetchone()[0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no gallery at .*; check the path, or build one"),
        (b"", "not an SQLite file"),
        (b"species,name\n" * 10, "not an SQLite file"),
        (b"SQLite format 3\0" + b"\0" * 5000, "damaged|cannot be used"),
    ],
)
@pytest.mark.parametrize("readonly", [True, False])
def test_what_is_not_a_gallery_is_refused_by_name(tmp_path: Path, content, message: str, readonly: bool):
    path = tmp_path / "x.sqlite"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(GalleryError, match=message) as caught:
        Gallery.open(path, readonly=readonly)
    assert "x.sqlite" in str(caught.value)
    assert not content or path.read_bytes() == content


def test_a_folder_is_not_a_gallery(tmp_path: Path):
    with pytest.raises(GalleryError, match="cannot be read"):
        Gallery.open(tmp_path)


def test_a_pipe_is_not_a_gallery_and_not_waited_for(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.sqlite")
    with pytest.raises(GalleryError, match="pipe.sqlite is not a gallery"):
        Gallery.open(tmp_path / "pipe.sqlite")


def test_a_database_of_another_program_is_not_a_gallery(tmp_path: Path):
    path = tmp_path / "detections.sqlite"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE detections (id)")
    with pytest.raises(GalleryError, match="an SQLite file but not a gallery"):
        Gallery.open(path)


def test_a_truncated_gallery_is_damaged(filled: Path):
    filled.write_bytes(filled.read_bytes()[:6000])
    with pytest.raises(GalleryError, match="damaged"), Gallery.open(filled) as gallery:
        gallery.entries()


@pytest.mark.parametrize(("space", "dim"), [("other-space", 8), ("test-space", 16)])
def test_vectors_of_other_encoders_are_refused_with_both_named(filled: Path, space: str, dim: int):
    with pytest.raises(GalleryError, match=f"'test-space' with 8 .* not '{space}' with {dim} .*; build it again"):
        Gallery.open(filled, EncoderIdentity(space, dim, "other 2"))


def test_another_pack_of_the_same_space_may_use_the_gallery(filled: Path):
    with Gallery.open(filled, EncoderIdentity("test-space", 8, "other 2")) as gallery:
        assert gallery.identity.pack == "test 1"


def test_a_gallery_of_a_later_version_is_refused(filled: Path):
    with sqlite3.connect(filled) as db:
        db.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('biovita-gallery', 'm999', '')"
        )
    for readonly in (True, False):
        with pytest.raises(GalleryError, match="schema 6, this version knows up to 5; update biovita-edge"):
            Gallery.open(filled, readonly=readonly)


def test_the_changes_that_reading_knows_are_those_that_writing_applies():
    from gallery.migrations import migrations

    pending = migrations.pending(Database(memory=True, execute_plugins=False))
    assert tuple(change.name for change in pending) == schema.SCHEMA


def test_reading_does_without_the_library_that_writes(filled: Path):
    code = "import sys, gallery; gallery.Gallery.open(sys.argv[1]).info(); print('sqlite_utils' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code, filled], capture_output=True, text=True, check=True)
    assert told.stdout == "False\n"


def test_a_gallery_of_an_earlier_version_is_updated_by_writing_to_it(filled: Path, monkeypatch: pytest.MonkeyPatch):
    from gallery import migrations

    later = type(migrations.migrations)(migrations.migrations.name)
    later()(migrations.m001_taxa_and_entries)
    later()(migrations.m002_modality_and_class_vectors)
    later()(migrations.m003_photos_without_vectors_and_two_sizes)
    later()(migrations.m004_counterexamples)
    later()(migrations.m005_blocks_of_vectors_and_centroids)

    @later()
    def m006_places(db):
        db.execute("CREATE TABLE places (name TEXT)")

    monkeypatch.setattr(migrations, "migrations", later)
    monkeypatch.setattr(schema, "SCHEMA", (*schema.SCHEMA, "m006_places"))
    with pytest.raises(GalleryError, match="schema 5, this version needs 6; open it once for writing"):
        Gallery.open(filled)
    Gallery.open(filled, readonly=False).close()
    with Gallery.open(filled) as gallery:
        assert (gallery.info()["schema"], gallery.info()["taxa"]) == (6, 6)


@pytest.fixture
def schema_2(tmp_path: Path) -> Path:
    """A gallery as the version before made it: a text, and a photo with a thumbnail in one size."""
    from gallery.migrations import migrations

    path = tmp_path / "schema_2.sqlite"
    with closing(sqlite3.connect(path)) as db:
        migrations.apply(Database(db, execute_plugins=False), stop_before=schema.SCHEMA[2])
        vector = np.eye(8, dtype="<f4")[0].tobytes()
        with db:
            db.executemany("INSERT INTO gallery VALUES (?, ?)", {"space": "s", "dim": "8", "pack": "p 1"}.items())
            db.execute("INSERT INTO taxa VALUES (1, 'Parus major', '', '', '', '', '', 'Parus', '{}', '[]')")
            add = "INSERT INTO entries VALUES (?, 1, ?, ?, ?, '', 'CC0', '', ?, NULL, NULL)"
            db.execute(add, (4, "text", vector, "common", ""))
            db.execute(add, (7, "image", vector, "a.jpg", "abc"))
            db.execute("INSERT INTO thumbnails VALUES (7, ?)", (b"\xff\xd8old",))
    return path


@pytest.mark.parametrize("updated", [False, True])
def test_a_gallery_with_one_size_of_thumbnails_is_read_as_it_is(schema_2: Path, updated: bool):
    before = schema_2.read_bytes()
    if updated:
        Gallery.open(schema_2, readonly=False).close()
    with Gallery.open(schema_2) as gallery:
        text, photo = gallery.entries()
        assert photo.thumbnail == Thumbnail(b"\xff\xd8old", b"\xff\xd8old") and text.thumbnail is None
        assert gallery.thumbnail(7, "small") == gallery.thumbnail(7, "large") == b"\xff\xd8old"
        [picture] = pictures(gallery, "Parus major")
        assert (picture.id, picture.thumbnail, picture.width) == (7, True, None)
        assert Index.of(gallery).modalities == ("text", "image")
        assert (gallery.info()["schema"], gallery.info()["thumbnails"]) == (5 if updated else 2, 1)
    assert (schema_2.read_bytes() == before) == (not updated)


def test_an_updated_gallery_keeps_its_constraints(schema_2: Path):
    with Gallery.open(schema_2, readonly=False) as gallery:
        again = Entry("Parus major", "image", None, "b.jpg", sha256="abc")
        assert gallery.add_entries([again, Entry("Parus major", "text", np.eye(8)[1], "common")]).added == 0
        gallery.remove_taxon("Parus major")
        assert (gallery.info()["entries"]["image"], gallery.info()["thumbnails"]) == (0, 0)


def test_a_built_gallery_is_one_file_and_reading_leaves_it_so(filled: Path):
    before = filled.read_bytes()
    with Gallery.open(filled) as gallery:
        Index.of(gallery)
        assert neighbours(filled) == ["filled.sqlite"]
    assert journal_mode(filled) == "delete"
    assert filled.read_bytes() == before


def test_an_edited_gallery_is_in_wal_mode_until_it_is_closed(filled: Path):
    with Gallery.open(filled, readonly=False) as gallery:
        gallery.remove_taxon("Parus major")
        assert journal_mode(filled) == "wal"
    assert journal_mode(filled) == "delete"
    assert neighbours(filled) == ["filled.sqlite"]


def test_readers_see_the_last_complete_state_while_somebody_edits(filled: Path):
    with Gallery.open(filled, readonly=False) as writer, Gallery.open(filled) as reader:
        with writer.transaction():
            writer.remove_taxon("Parus major")
            assert len(reader.taxa()) == 6
        assert len(reader.taxa()) == 5


def test_a_second_writer_is_told_who_is_in_the_way(filled: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("gallery.database.BUSY_S", 0.0)
    in_the_way = pytest.raises(GalleryError, match="in use by another program; close it")
    one, two = Gallery.open(filled, readonly=False), Gallery.open(filled, readonly=False)
    with one, two, one.transaction(), in_the_way:
        two.remove_taxon("Parus major")


def test_closing_twice_is_harmless(filled: Path):
    gallery = Gallery.open(filled, readonly=False)
    gallery.close()
    gallery.close()


def test_a_gallery_opens_in_a_folder_that_cannot_be_written(locked_folder: Path):
    with unprivileged():
        with Gallery.open(locked_folder) as gallery:
            assert len(Index.of(gallery).taxa) == 6
        with pytest.raises(GalleryError, match="cannot be written; copy it"):
            Gallery.open(locked_folder, readonly=False)


def test_a_gallery_copied_while_edited_opens_where_nothing_can_be_written(locked_folder: Path):
    locked_folder.parent.chmod(0o755)
    with closing(sqlite3.connect(locked_folder)) as db:
        db.execute("PRAGMA journal_mode = WAL")
    locked_folder.parent.chmod(0o555)
    with unprivileged(), Gallery.open(locked_folder) as gallery:
        assert len(gallery.taxa()) == 6


def test_a_file_that_may_not_be_read_is_named(locked_folder: Path):
    locked_folder.chmod(0)
    with unprivileged(), pytest.raises(GalleryError, match=r"filled\.sqlite cannot be read \(Permission denied\)"):
        Gallery.open(locked_folder)


def test_a_build_that_fails_leaves_the_old_gallery_and_nothing_else(filled: Path, identity: EncoderIdentity):
    before = filled.read_bytes()
    with pytest.raises(RuntimeError), build(filled, identity) as gallery:
        gallery.add_taxa([Taxon("Parus ater", "", "", "", "", "", "", {})])
        raise RuntimeError
    assert filled.read_bytes() == before
    assert neighbours(filled) == ["filled.sqlite"]


def test_a_build_replaces_the_old_gallery_when_it_is_complete(filled: Path, identity: EncoderIdentity, unit):
    with build(filled, identity) as gallery:
        gallery.add_taxa([Taxon("Parus ater", "", "", "", "", "", "", {})])
        gallery.add_entries([Entry("Parus ater", "text", unit(0), "common")])
        assert gallery.info()["taxa"] == 1
        with Gallery.open(filled) as old:
            assert len(old.taxa()) == 6
    with Gallery.open(filled) as new:
        assert [taxon.scientific_name for taxon in new.taxa()] == ["Parus ater"]
    assert neighbours(filled) == ["filled.sqlite"]


def test_what_a_power_cut_left_does_not_leak_into_the_new_gallery(filled: Path, identity, tmp_path: Path):
    crash = tmp_path / "crash"
    crash.mkdir()
    with Gallery.open(filled, readonly=False) as gallery:
        gallery.remove_taxon("Parus major")
        for file in filled.parent.glob("filled.sqlite*"):
            shutil.copy(file, crash)
    cut_off = crash / "filled.sqlite"
    assert "filled.sqlite-wal" in neighbours(cut_off)
    with Gallery.open(cut_off) as gallery:
        assert len(gallery.taxa()) == 5, "what was committed before the cut is there"
    with build(cut_off, identity) as gallery:
        gallery.add_taxa([Taxon("Parus ater", "", "", "", "", "", "", {})])
    assert neighbours(cut_off) == ["filled.sqlite"]
    with Gallery.open(cut_off) as gallery:
        assert len(gallery.taxa()) == 1


def test_a_build_does_not_replace_a_gallery_that_is_being_edited(filled: Path, identity: EncoderIdentity):
    with Gallery.open(filled, readonly=False) as editing:
        editing.remove_taxon("Parus major")
        with pytest.raises(GalleryError, match="open in another program"), build(filled, identity):
            pass
        assert len(editing.taxa()) == 5
    assert neighbours(filled) == ["filled.sqlite"]


def test_a_missing_folder_is_named_before_any_work(tmp_path: Path, identity: EncoderIdentity):
    with pytest.raises(GalleryError, match=r"no folder .*; make the folder first"):
        build(tmp_path / "nowhere" / "g.sqlite", identity).__enter__()


def test_odd_characters_in_the_path_are_fine(tmp_path: Path, identity: EncoderIdentity):
    path = tmp_path / "a ?#%41 ü.sqlite"
    with build(path, identity):
        pass
    with Gallery.open(path) as gallery:
        assert gallery.taxa() == []


DAMAGE = {
    "JSON that is none": "UPDATE taxa SET common_names = 'not json' WHERE id = 1",
    "JSON of another kind": "UPDATE taxa SET common_names = '[1, 2]' WHERE id = 1",
    "names that are numbers": """UPDATE taxa SET common_names = '{"en": 5}' WHERE id = 1""",
    "deep JSON": "UPDATE taxa SET synonyms = '" + "[" * 50_000 + "' WHERE id = 1",
    "a rank that is a number": "UPDATE taxa SET family = x'ff' WHERE id = 1",
    "a short vector": "UPDATE vectors SET vectors = x'00' WHERE taxon = 1",
    "a long vector": "UPDATE vectors SET vectors = CAST(vectors || vectors AS BLOB) WHERE taxon = 1",
    "a vector of text": "UPDATE vectors SET vectors = 'abcdefgh' WHERE taxon = 1",
    "a vector of NaN": "UPDATE vectors SET vectors = CAST(x'007e' || substr(vectors, 3) AS BLOB) WHERE taxon = 1",
    "an infinite vector": "UPDATE vectors SET vectors = CAST(x'007c' || substr(vectors, 3) AS BLOB) WHERE taxon = 1",
    "a vector of zeros": "UPDATE vectors SET vectors = zeroblob(length(vectors)) WHERE taxon = 1",
    "a mean of NaN": "UPDATE centroids SET total = CAST(x'0000c07f' || substr(total, 5) AS BLOB) WHERE taxon = 1",
    "a short mean": "UPDATE centroids SET total = x'00' WHERE taxon = 1",
}


@pytest.mark.parametrize("statement", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_row_is_named_and_never_used(tmp_path, statement):
    path = tmp_path / "gallery.sqlite"
    with build(path, EncoderIdentity("space", 4, "toy 1")) as gallery:
        ranks = ("Animalia", "Chordata", "Aves", "Passeriformes")
        gallery.add_taxa(
            [
                Taxon("Parus major", *ranks, "Paridae", "Parus", {"en": "Great Tit"}),
                Taxon("Pica pica", *ranks, "Corvidae", "Pica", {}),
            ]
        )
        for name in ("Parus major", "Pica pica"):
            gallery.add_entries([Entry(name, "text", np.array([1, 0, 0, 0], np.float32), name)])
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(statement)
    with Gallery.open(path) as gallery, pytest.raises(GalleryError, match=r"damaged \(.*\); restore a copy") as caught:
        Index.of(gallery)
    assert caught.value.exit_code == 3
    assert "Parus major" in str(caught.value)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE taxa SET common_names = 'not json'",
        "UPDATE taxa SET common_names = '[1, 2]'",
        "UPDATE entries SET vector = x'00'",
        "UPDATE entries SET vector = CAST(x'0000c07f' || substr(vector, 5) AS BLOB)",
        "UPDATE entries SET vector = CAST(x'0000807f' || substr(vector, 5) AS BLOB)",
    ],
)
@pytest.mark.parametrize("readonly", [True, False])
def test_damage_in_a_gallery_of_an_earlier_version_is_named(schema_2, statement, readonly):
    with closing(sqlite3.connect(schema_2)) as db, db:
        db.execute(statement)
    with (
        pytest.raises(GalleryError, match="Parus major") as caught,
        Gallery.open(schema_2, readonly=readonly) as gallery,
    ):
        Index.of(gallery)
    assert caught.value.exit_code == 3


def test_text_that_is_not_utf8_is_damage(filled):
    with closing(sqlite3.connect(filled)) as db, db:
        db.execute("UPDATE taxa SET genus = CAST(x'ff41' AS TEXT)")
    with Gallery.open(filled) as gallery, pytest.raises(GalleryError, match="damaged"):
        gallery.taxa()
