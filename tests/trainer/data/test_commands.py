"""`data info` and `data shard` on the command line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import typer

from gallery.errors import BiovitaError
from tests.trainer.tiny import Ended, Tiny, call
from trainer.data.commands import SHOWN, data
from trainer.data.manifest import read_manifest


def run(*words: object) -> Ended:
    """The commands as the trainer's command line has them."""
    app = typer.Typer()
    app.add_typer(data, name="data")
    return call(app, "data", *words)


def test_info_counts_rows_taxa_sources_and_licences(tiny: Tiny) -> None:
    ended = run("info", tiny.manifest, "--taxa", tiny.taxa)
    assert ended.code == 0 and ended.err == ""
    lines = {line.rsplit(maxsplit=2)[0].strip(): line.split()[-2:] for line in ended.out.splitlines()[1:] if line}
    assert lines["rows"] == ["21", "12"] and lines["taxa"] == ["4", "3"] and lines["sources"] == ["20", "12"]
    assert lines["tests"] == lines["CC0-1.0"] == ["21", "12"]
    assert "1 taxa without photos: Bufo bufo" in ended.out


def test_info_says_the_same_as_json(tiny: Tiny) -> None:
    ended = run("info", tiny.manifest, "--taxa", tiny.taxa, "--json")
    told = json.loads(ended.out)
    assert told["taxa"] == 4 and told["photos"]["rows"] == 12 and told["recordings"]["licence"] == {"CC0-1.0": 21}
    assert told["without_photos"] == ["Bufo bufo"] and told["without_recordings"] == told["without_common_name"] == []
    assert told["left_out"] == told["notes"] == []


def test_info_names_what_is_left_out_and_why_and_fails(tiny: Tiny, tmp_path: Path) -> None:
    path = tmp_path / "manifest.csv"
    extra = "video,a.mp4,Parus major,,,,,\naudio,a.wav,,,,,,\nimage,a.png,Parus major,,,,,nest\n"
    path.write_text(tiny.manifest.read_text() + extra)
    ended = run("info", path, "--taxa", tiny.taxa)
    assert ended.code == 1
    assert "left out: manifest.csv line 35: modality 'video' is unknown; write audio or image" in ended.out
    assert "left out: manifest.csv line 36: no species is named; fill in scientific_name" in ended.out
    assert "note: manifest.csv: photos of nests, eggs or young are not used (1)" in ended.out


def test_info_takes_the_published_tables_of_sound_and_photos_together(tmp_path: Path) -> None:
    header = "file_name,scientific_name,class,order,family,genus,com,source,recording_id\n"
    names = [f"Genus species{n}" for n in range(SHOWN + 3)]
    rows = [f"{n}.mp3,{name},C,O,F,Genus,,src{n},{n}\n" for n, name in enumerate(names)]
    (tmp_path / "sound.csv").write_text(header + "".join(rows))
    (tmp_path / "photos.csv").write_text(header + f"p.jpg,{names[0]},C,O,Other,Genus,Name,tol,1\n")
    ended = run("info", tmp_path / "sound.csv", tmp_path / "photos.csv")
    assert ended.code == 0, ended.err
    assert f"{len(names)} taxa" in ended.out and f"{len(names) - 1} taxa without photos" in ended.out
    assert f"{len(names) - 1} taxa without common name (the scientific name is used)" in ended.out
    assert "  4 more" in ended.out  # of the sources
    assert "note: rows contradict each other about 1 species" in ended.out and "family F, not Other" in ended.out


def test_shard_packs_and_names_what_it_left_out(tiny: Tiny, tmp_path: Path) -> None:
    shutil.copytree(tiny.manifest.parent, tmp_path / "data")
    words = (tmp_path / "data" / "manifest.csv", "--taxa", tiny.taxa, "--shard-mb", 1, "--threads", 1)
    ended = run("shard", *words, "--out", tmp_path / "all")
    assert ended.code == 0 and ended.out == ""
    assert "21 recordings and 12 photos in" in ended.err and str(tmp_path / "all" / "manifest.parquet") in ended.err
    (tmp_path / "data" / "Bufo_bufo_0.wav").unlink()
    ended = run("shard", *words, "--out", tmp_path / "most")
    assert ended.code == 1 and "20 recordings" in ended.err and "1 left out" in ended.err
    (line,) = [line for line in ended.lines() if "Bufo_bufo_0.wav" in line]
    assert "; " in line
    read = read_manifest(tmp_path / "most" / "manifest.parquet")
    assert (len(read.recordings), len(read.photos)) == (20, 12)
    assert run("info", tmp_path / "most" / "manifest.parquet").code == 0


def test_media_may_lie_elsewhere(tiny: Tiny, tmp_path: Path) -> None:
    manifest = shutil.copy(tiny.manifest, tmp_path / "manifest.csv")
    words = ("--taxa", tiny.taxa, "--media", tiny.manifest.parent, "--out", tmp_path / "out")
    assert run("shard", manifest, *words).code == 0


@pytest.mark.parametrize("words", [("info",), ("shard",), ("shard", "manifest.csv"), ("info", "m.csv", "--nonsense")])
def test_wrong_words_are_a_usage_error(words: tuple[str, ...]) -> None:
    assert run(*words).code == 2


def test_a_manifest_that_is_none_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(BiovitaError, match="absent.csv: cannot be read") as error:
        run("info", tmp_path / "absent.csv")
    assert error.value.exit_code == 2
