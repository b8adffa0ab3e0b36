"""``biovita-edge collect``, from a mirror of all archives on this machine."""

from __future__ import annotations

import csv
import os
import re
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from edgeapp.cli import app
from edgeapp.collect import pace
from edgeapp.collect.catalogue import Catalogue
from edgeapp.collect.client import TRIES
from edgeapp.collect.pipeline import FAILURES
from tests.conftest import PROJECT
from tests.edgeapp.collect import mirror as mirrors
from tests.edgeapp.collect.archive_server import KEY, archive_server
from tests.edgeapp.collect.conftest import photo, sound
from tests.edgeapp.collect.mirror import Mirror, Species

SPECIES = [Species("Parus major", "Aves"), Species("Rana temporaria", "Amphibia"), Species("Turdus merula", "Aves")]
# Of each species: recordings of the museum and BioVITA, photos of iNaturalist and Commons.
FREE = {"audio": 12, "image": 9}
ALL = "CC0|CC BY*|CC BY-NC*|CC BY-NC-SA*"


@pytest.fixture
def mirror(tmp_path) -> Iterator[Mirror]:
    with archive_server() as archives:
        yield mirrors.make(
            tmp_path / "mirror", archives, SPECIES, lambda one, n: sound(n, 0.5), lambda one, n: photo(n)
        )


def run(*words: object) -> Result:
    return CliRunner().invoke(app, ["collect", *map(str, words)])


def downloaded(folder: Path) -> list:
    with Catalogue.open(folder, readonly=True) as catalogue:
        return list(catalogue.rows("downloaded"))


def test_all_archives_become_one_collection(mirror, tmp_path):
    out = tmp_path / "set"
    done = run(out, *mirror.options)
    assert done.exit_code == 0, done.stderr
    assert "12 recordings and 9 photos of 3 species are in" in done.stdout
    rows = downloaded(out)
    assert {name: sum(row.medium.modality == name for row in rows) for name in FREE} == FREE
    assert {row.taxon for row in rows} == {one.name for one in SPECIES}
    assert {row.medium.source for row in rows} == {"gbif", "biovita", "inaturalist", "commons"}
    assert {row.licence_spdx for row in rows} == {"CC-BY-4.0", "CC0-1.0", "CC-BY", "CC-BY-SA-4.0"}
    for row in rows:
        assert (out / row.path).stat().st_size == row.bytes
        assert row.path.startswith(f"{row.medium.modality}/{row.taxon.replace(' ', '_')}/")
        assert row.taxon_ranks["class"] == next(one.class_ for one in SPECIES if one.name == row.taxon)
    assert re.search(r"left out: 6, licence CC-BY-NC-SA-4.0: no commercial use", done.stdout)
    card = (out / "CARD.md").read_text(encoding="utf-8")
    offered, left_out = map(int, re.search(r"Of (\d+) media that the sources offer, (\d+) are left out", card).groups())
    assert offered == len(rows) + left_out
    reasons = re.findall(r"\| (\d+) \| (\d+) \|", card.partition("## Left out")[2].partition("##")[0])
    assert sum(int(one) for counts in reasons for one in counts) == left_out
    assert not (out / FAILURES).exists()


def test_the_same_command_fetches_nothing_again(mirror, tmp_path):
    out = tmp_path / "set"
    run(out, *mirror.options)
    mirror.archives.asked.clear()
    done = run(out, *mirror.options)
    assert done.exit_code == 0
    assert mirror.archives.asked == []
    assert "in this run 0 were fetched" in done.stdout
    assert run(out, *mirror.options, "--again").exit_code == 0
    assert mirror.archives.questions("/xc/api") and not mirror.archives.questions("/museum")


def test_other_terms_change_the_choice_and_no_more(mirror, tmp_path):
    out = tmp_path / "set"
    run(out, *mirror.options)
    before = {row.path for row in downloaded(out)}
    known = ("--taxonomy", mirror.folder / "taxa.csv", "--rate", 2000, "--keep-free", 0)
    done = run(out, "--licence", ALL, *known)
    assert done.exit_code == 0, done.stderr
    assert before < {row.path for row in downloaded(out)}
    assert len(downloaded(out)) == mirror.recordings + mirror.photos
    done = run(out, "--licence", ALL, "--recordings", 1, "--photos", 0, *known)
    assert "3 recordings of 3 species" in done.stdout
    assert len(list(out.glob("audio/*/*"))) == mirror.recordings  # nothing is lost


def test_a_dry_run_says_files_bytes_and_species(mirror, tmp_path):
    out = tmp_path / "set"
    done = run(out, *mirror.options, "--dry-run")
    assert done.exit_code == 0, done.stderr
    assert re.search(r"would fetch 12 recordings and 9 photos of 3 species, about [\d.]+ kB\n", done.stdout)
    assert not any(out.glob("audio/*/*"))
    run(out, *mirror.options)
    done = run(out, *mirror.options, "--dry-run")
    assert "would fetch no files of 0 species, nothing" in done.stdout
    assert "21 files are here already" in done.stdout


def test_only_what_is_named_is_collected(mirror, tmp_path):
    (tmp_path / "list.txt").write_text("# birds\nParus major_Great Tit\nNonsens nonsens\n")
    done = run(tmp_path / "a", *mirror.options, "--species-list", tmp_path / "list.txt", "--modalities", "audio")
    assert {row.taxon for row in downloaded(tmp_path / "a")} == {"Parus major"}
    assert "1 names are not in the backbone, and get nothing: Nonsens nonsens" in done.stderr
    said = "| {} | {} |".format
    asked = said("species", "list.txt"), said("modalities", "audio"), said("recordings of a species", "all")
    assert all(line in (tmp_path / "a" / "CARD.md").read_text(encoding="utf-8") for line in asked)
    limits = ("--min-quality", "research", "--best-first", "--burst", 3, "--without", "small", "--max-size", 20)
    done = run(tmp_path / "b", *mirror.options, "--only", "amphibia", *limits)
    assert {row.taxon for row in downloaded(tmp_path / "b")} == {"Rana temporaria"}
    asked = (
        said("groups", "amphibia"),
        said("least quality", "research"),
        said("best quality first", "yes"),
        said("files of a species of one observer, place and hour", 3),
        said("left out where noted", "small"),
        said("largest file", "20 MB"),
    )
    assert all(line in (tmp_path / "b" / "CARD.md").read_text(encoding="utf-8") for line in asked)


def test_what_fails_is_named_and_the_others_come(mirror, tmp_path):
    [first, second, *_] = [path for path in mirror.archives.files if path.startswith("/museum")]
    mirror.archives.files[first].content = b"<html><body>Moved</body></html>"
    mirror.archives.files[second].breaks = deque([100, 3000])
    done = run(tmp_path / "set", *mirror.options)
    assert done.exit_code == 1
    assert f"{first}: is an HTML page, not sound" in done.stderr
    with open(tmp_path / "set" / FAILURES, encoding="utf-8") as file:
        [failure] = csv.DictReader(file)
    assert failure["url"].endswith(first) and failure["reason"] == "is an HTML page, not sound"
    assert len(downloaded(tmp_path / "set")) == 20
    again = run(tmp_path / "set", *mirror.options)
    assert again.exit_code == 0  # it is known by now, and nothing new has failed


def test_a_file_is_tried_once_in_a_run_and_counted_once(mirror, tmp_path, monkeypatch):
    monkeypatch.setattr(pace, "LONGEST_PAUSE_S", 0.01)
    [first, second, third, *_] = [path for path in mirror.archives.files if path.startswith("/museum")]
    mirror.archives.files[first].statuses.extend([(500, {})] * (TRIES + 1))
    mirror.archives.files[second].content = b"<html><body>Moved</body></html>"
    done = run(tmp_path / "set", *mirror.options)
    assert done.exit_code == 1
    assert len(mirror.archives.questions(first)) == TRIES
    fetched, failed = map(int, re.search(r"this run (\d+) were fetched, .*, and (\d+) failed", done.stdout).groups())
    assert failed == 2 and fetched == len(downloaded(tmp_path / "set"))
    with open(tmp_path / "set" / FAILURES, encoding="utf-8") as file:
        assert {row["reason"]: row["attempts"] for row in csv.DictReader(file)} == {
            "the server answers 500 (Internal Server Error)": "1",
            "is an HTML page, not sound": "3",
        }
    again = run(tmp_path / "set", *mirror.options)
    assert again.exit_code == 0 and "in this run 1 were fetched" in again.stdout


def test_others_are_chosen_for_what_failed_for_good(mirror, tmp_path):
    for path in list(mirror.archives.files):
        if path.startswith("/museum"):
            mirror.archives.files[path].content = b"<html></html>"
    done = run(tmp_path / "set", *mirror.options, "--recordings", 2, "--photos", 0)
    assert done.exit_code == 1
    rows = downloaded(tmp_path / "set")
    assert {one.name: sum(row.taxon == one.name for row in rows) for one in SPECIES} == {one.name: 2 for one in SPECIES}
    assert {row.medium.source for row in rows} == {"biovita"}


def test_a_source_that_fails_does_not_end_the_others(mirror, tmp_path):
    (tmp_path / "mirror" / "key").write_text("wrong-key")
    done = run(tmp_path / "set", *mirror.options)
    assert done.exit_code == 1
    assert "401" in done.stderr and "wrong-key" not in done.output
    assert len(downloaded(tmp_path / "set")) == 21


def test_files_that_were_lost_are_fetched_again(mirror, tmp_path):
    out = tmp_path / "set"
    run(out, *mirror.options)
    first, second, *_ = [out / row.path for row in downloaded(out)]
    first.unlink()
    second.write_bytes(second.read_bytes()[:100])
    done = run(out, *mirror.options)
    assert "2 files are gone or cut, and are fetched again" in done.stderr
    assert "in this run 2 were fetched" in done.stdout and first.exists()


def test_files_of_ones_own_that_were_replaced_are_taken_anew(tmp_path):
    own, out = tmp_path / "own" / "Parus_major", tmp_path / "set"
    own.mkdir(parents=True)
    (own / "a.wav").write_bytes(sound(1))
    (own / "b.wav").write_bytes(b"<html></html>")
    (tmp_path / "taxa.csv").write_text(
        "scientific_name,common_name,kingdom,phylum,class,order,family,genus\n"
        "Parus major,Great Tit,Animalia,Chordata,Aves,Passeriformes,Paridae,Parus\n"
    )
    words = (
        "--taxonomy",
        tmp_path / "taxa.csv",
        "--folder",
        own.parent,
        "--licence",
        "*",
        "--keep-free",
        0,
        "--no-speech",
    )
    assert run(out, *words).exit_code == 1
    assert [row.medium.id for row in downloaded(out)] == ["Parus_major/a.wav"]
    (own / "a.wav").write_bytes(sound(2))
    (own / "b.wav").write_bytes(sound(3))
    done = run(out, *words)
    assert done.exit_code == 0 and "in this run 2 were fetched" in done.stdout
    assert [(out / row.path).read_bytes() for row in downloaded(out)] == [sound(2), sound(3)]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "no source is named; name at least one: --gbif-archive, --gbif, --xeno-canto"),
        (("--xeno-canto", "cnt:germany"), "Xeno-canto asks for a key"),
        (("--gbif", "all"), "asks for everything"),
        (("--gbif", "year=1", "--licence", "GPL"), "no licence is called 'GPL'"),
        (("--gbif", "year=1", "--modalities", "video"), "--modalities 'video' is none"),
        (("--gbif", "year=1", "--photo-size", "huge"), "--photo-size 'huge' is no size"),
        (("--gbif", "year=1", "--min-quality", "good"), "'good' is no quality grade"),
        (("--gbif", "year=1", "--address", "gbif"), "--address gbif: not a source and its address"),
        (("--gbif", "year=1", "--species-list", "none.txt"), "species list none.txt cannot be read"),
        (("--gbif", "year=1", "--xeno-canto-key-file", "none"), "none: the key cannot be read"),
        (("--gbif", "year=1", "--rate", "0"), "0"),
        (("--nonsense",), "No such option"),
    ],
    ids=lambda words: " ".join(words) if isinstance(words, tuple) else "",
)
def test_a_wrong_call_is_one_line_and_exit_code_2(words, said, tmp_path, monkeypatch):
    monkeypatch.delenv("XENO_CANTO_KEY", raising=False)
    monkeypatch.chdir(tmp_path)
    done = run(tmp_path / "set", *words)
    assert done.exit_code == 2, done.output
    assert said in done.stderr and len(done.stderr.splitlines()) == 1


def test_the_key_comes_from_the_environment(mirror, tmp_path, monkeypatch):
    monkeypatch.setenv("XENO_CANTO_KEY", KEY)
    words = [word for word in mirror.options if word not in ("--xeno-canto-key-file", str(mirror.folder / "key"))]
    assert run(tmp_path / "set", *words).exit_code == 0
    assert mirror.archives.questions("/xc/api")


def test_a_second_process_waits_for_nobody(mirror, tmp_path):
    from edgeapp.collect.pipeline import opened
    from edgeapp.collect.plan import Plan

    with opened(Plan(tmp_path / "set")):
        done = run(tmp_path / "set", *mirror.options)
    assert done.exit_code == 2 and "another process collects into it" in done.stderr


def test_ctrl_c_ends_cleanly_and_the_next_run_goes_on(mirror, tmp_path, forks):
    out = tmp_path / "set"
    mirror.archives.slow_s = 0.05
    process = subprocess.Popen(
        [*forks.python(), "-m", "edgeapp", "collect", str(out), *mirror.options, "--connections", "1"],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
    )
    deadline = time.monotonic() + 60
    while not any(out.glob("audio/*/*")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 130, said
    assert f"stopped; what came is in {out}, and the same command goes on" in said
    here = len(downloaded(out))
    assert 0 < here < 21
    mirror.archives.slow_s = 0.0
    done = run(out, *mirror.options)
    assert done.exit_code == 0 and f"in this run {21 - here} were fetched" in done.stdout


def test_a_catalogue_that_cannot_grow_is_one_line(mirror, tmp_path):
    resource = pytest.importorskip("resource")
    out = tmp_path / "set"
    full = subprocess.run(
        [sys.executable, "-m", "edgeapp", "collect", str(out), *mirror.options],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000)),
    )
    assert full.returncode == 2, full.stderr
    last = full.stderr.splitlines()[-1]
    assert last.startswith(
        f"biovita-edge: {out}: the catalogue cannot be read or written (disk I/O error); check the disk"
    )
    assert "Traceback" not in full.stderr
    done = run(out, *mirror.options)
    assert done.exit_code == 0 and len(downloaded(out)) == 21


def test_the_trainer_has_the_same_command(mirror, tmp_path):
    from trainer.__main__ import app as trainer

    done = CliRunner().invoke(trainer, ["data", "collect", str(tmp_path / "set"), *mirror.options])
    assert done.exit_code == 0, done.stderr
    assert len(downloaded(tmp_path / "set")) == 21


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--only", "Avez", "--only 'Avez': the taxonomy has no such taxon; write a scientific name, such as Aves"),
        ("--species-list", "Great Tit\nbirds\n", "species list: no name is in the taxonomy: Great Tit, birds"),
        ("--taxonomy", "", "cannot be read"),
    ],
)
def test_what_the_taxonomy_does_not_have_is_told_before_any_question(option, value, words, mirror, tmp_path):
    given = tmp_path / "given.csv"
    if option == "--species-list":
        given.write_text(value)
    done = run(tmp_path / "set", *mirror.options, option, value if option == "--only" else given)
    assert done.exit_code in (1, 2)
    assert words in done.stderr
    assert mirror.archives.asked == []


@pytest.mark.parametrize("group", ["Aves", "aves", "Parus", "Parus major"])
def test_a_group_may_be_named_at_any_rank(group, mirror, tmp_path):
    done = run(tmp_path / "set", *mirror.options, "--only", group)
    assert done.exit_code == 0, done.stderr
    assert {row.taxon for row in downloaded(tmp_path / "set")} == (
        {"Parus major", "Turdus merula"} if group.casefold() == "aves" else {"Parus major"}
    )
