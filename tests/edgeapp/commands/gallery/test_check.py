"""`biovita-edge gallery check`."""

import sqlite3
from contextlib import closing


def test_a_whole_gallery_has_no_faults(run, photo_gallery):
    done = run("gallery", "check", photo_gallery, "--search")
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        f"{photo_gallery}: no faults",
        f"{photo_gallery}: the index finds 100.0% of the nearest entries",
    ]


def test_every_fault_is_told_and_the_command_fails(run, photo_gallery):
    with closing(sqlite3.connect(photo_gallery)) as db, db:
        db.execute("UPDATE vectors SET vectors = zeroblob(length(vectors)) WHERE modality = 'image'")
    done = run("gallery", "check", photo_gallery)
    assert done.exit_code == 3
    *told, last = done.stderr.splitlines()
    for name in ("Parus major", "Cuculus canorus"):
        assert any(f"{photo_gallery}: vectors of {name} (image) have another checksum" in line for line in told), told
    assert "is damaged" in last and "restore a copy" in last
