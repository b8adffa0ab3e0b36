"""A station learns from the reviews of its journal: the same reviews always teach the same, and can be taken back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import soundfile

from edgeapp.audio.file import load
from edgeapp.audio.memory import MemorySource
from edgeapp.errors import GalleryError
from edgeapp.journal import Clip, Journal, JournalError, Reader, Review
from edgeapp.journal.learning import forget, learn
from edgeapp.pack.format import Pack
from edgeapp.paths import EXAMPLE
from edgeapp.recognition.learned import OtherSpaceError, learned_beside, read_learned
from edgeapp.recognition.recogniser import Recogniser
from gallery.store import Gallery
from tests.edgeapp import toy_pack as toy
from tests.edgeapp.journal.samples import A_PARUS, DAWN, DEPLOYMENT, GREAT_TIT, MICROPHONE, begin
from tests.edgeapp.station.listening import CARD_HZ, Listening

TIT, TOAD, CUCKOO = "Parus major", "Bufo bufo", "Cuculus canorus"


def gate(seconds: float = 10.0) -> np.ndarray:
    """A gate that squeaks much like a great tit."""
    rest = sum(toy.tone(hz, seconds=seconds, rate_hz=CARD_HZ) for hz in (500, 2000, 3000))
    return toy.tone(1000, seconds=seconds, rate_hz=CARD_HZ) + 0.28 * rest


@pytest.fixture(scope="module")
def pack(toy_pack) -> Pack:
    return Pack.load(toy_pack)


@pytest.fixture
def journal(tmp_path, recogniser):
    """What a station wrote of a gate, a cuckoo, and a great tit."""
    with Journal.open(tmp_path / "garden.sqlite") as opened:
        pause = np.zeros(10 * CARD_HZ, np.float32)
        cuckoo, tit = (toy.tone(hz, seconds=10.0, rate_hz=CARD_HZ) for hz in (3000, 1000))
        Listening(recogniser, opened).hear(np.concatenate([gate(), pause, cuckoo, pause, tit]), hop_s=10.0)
        assert [row["scientific_name"] for row in opened.detections()] == [TIT, CUCKOO, TIT]
        yield opened


@pytest.fixture
def path(journal):
    return learned_beside(journal.path)


def heard(pack: Pack, samples: np.ndarray, learned=None) -> set[str]:
    source = MemorySource(samples, CARD_HZ)
    found = Recogniser(pack, threads=1, learned=learned).windows(source, hop_s=10.0)
    return {detection.scientific_name for window in found for detection in window.detections}


def review(journal: Journal, number: int, verdict: str, name: str | None = None) -> None:
    journal.add_review(Review(number, verdict, "ana", name), DAWN)


def test_the_learned_gallery_lies_beside_its_journal(journal, path, tmp_path):
    assert path == tmp_path / "garden.learned.sqlite"


def test_a_rejected_sound_is_not_taken_for_that_species_again(journal, pack, path):
    review(journal, 1, "rejected")
    report = learn(journal, pack, path)

    assert (report.reviews, report.entries, report.counterexamples, report.changed) == (1, {}, {TIT: 1}, True)
    assert heard(pack, gate()) == {TIT} and heard(pack, gate(), path) == set()
    assert heard(pack, toy.tone(1000, seconds=10.0, rate_hz=CARD_HZ), path) == {TIT}
    assert heard(pack, toy.tone(3000, seconds=10.0, rate_hz=CARD_HZ), path) == {CUCKOO}


def test_a_corrected_sound_is_an_example_of_one_and_not_of_the_other(journal, pack, path):
    review(journal, 1, "corrected", TOAD)
    report = learn(journal, pack, path)

    assert (report.entries, report.counterexamples) == ({TOAD: 1}, {TIT: 1})
    assert heard(pack, gate(), path) == {TOAD}


def test_what_was_learnt_says_where_it_is_from(journal, pack, path):
    review(journal, 2, "confirmed")
    review(journal, 1, "rejected")
    learn(journal, pack, path)

    document = journal.document(journal.in_full(2))
    with Gallery.open(path, pack.identity) as gallery:
        [entry], [example] = gallery.entries(), gallery.counterexamples()
    assert (entry.scientific_name, entry.modality, entry.label, entry.author) == (CUCKOO, "audio", "detection 2", "ana")
    assert entry.source == (
        f"id {document['id']}, station garden, recorded {document['time']}, reviewed {document['review']['time']}"
    )
    assert (example.taxon_rank, example.scientific_name, example.author) == ("species", TIT, "ana")
    stored = journal.vector(2)
    assert entry.vector @ (stored / np.linalg.norm(stored)) == pytest.approx(1.0)


def test_the_same_reviews_teach_the_same_to_the_last_byte(journal, pack, path):
    review(journal, 1, "corrected", TOAD)
    review(journal, 2, "confirmed")
    learn(journal, pack, path)
    before, written = path.read_bytes(), path.stat().st_mtime_ns

    assert not learn(journal, pack, path).changed
    assert (path.read_bytes(), path.stat().st_mtime_ns) == (before, written)


def test_a_review_that_changes_changes_what_was_learnt(journal, pack, path):
    review(journal, 1, "rejected")
    learn(journal, pack, path)
    review(journal, 1, "confirmed")

    report = learn(journal, pack, path)
    assert (report.entries, report.counterexamples, report.changed) == ({TIT: 1}, {}, True)
    assert heard(pack, gate(), path) == {TIT}


def test_without_reviews_nothing_is_learnt_and_what_was_is_gone(journal, pack, path):
    review(journal, 1, "rejected")
    learn(journal, pack, path)
    journal.remove_review(1)

    report = learn(journal, pack, path)
    assert (report.reviews, report.changed, path.exists()) == (0, True, False)
    assert not learn(journal, pack, path).changed


def test_it_is_undone_by_removing_it_and_the_reviews_stay(journal, pack, path):
    review(journal, 1, "rejected")
    learn(journal, pack, path)
    assert forget(path) and not path.exists() and not forget(path)
    assert journal.reviews(1) and learn(journal, pack, path).changed


def test_a_group_teaches_only_what_is_not_it(journal, pack, path):
    """A genus that is confirmed or corrected to one of its species was right, and one that is rejected was not."""
    stream = begin_in(journal, pack)
    vector = journal.vector(1)
    for verdict, name in (("confirmed", None), ("rejected", None), ("corrected", TIT), ("corrected", CUCKOO)):
        review(journal, journal.record(stream, replace(A_PARUS, vector=vector)), verdict, name)

    report = learn(journal, pack, path)
    assert (report.entries, report.counterexamples) == ({TIT: 1, CUCKOO: 1}, {"Parus": 2})
    assert report.left_out == {"confirmed above the species": 1}
    with Gallery.open(path) as gallery:
        assert {(one.taxon_rank, one.scientific_name) for one in gallery.counterexamples()} == {("genus", "Parus")}


def test_a_species_corrected_to_its_group_is_no_counterexample(journal, pack, path):
    review(journal, 1, "corrected", "Parus")
    review(journal, 2, "confirmed")
    report = learn(journal, pack, path)
    assert report.counterexamples == {}
    assert report.left_out == {"of Parus, which the gallery does not have as a species": 1}


def test_a_correction_may_have_a_common_name(journal, pack, path):
    review(journal, 1, "corrected", "Common Toad")
    assert learn(journal, pack, path).entries == {TOAD: 1}


def test_a_species_that_the_gallery_lacks_is_named_and_the_rest_is_learnt(journal, pack, path):
    review(journal, 1, "corrected", "Vespa crabro")
    report = learn(journal, pack, path)
    assert (report.entries, report.counterexamples) == ({}, {TIT: 1})
    assert report.left_out == {"of Vespa crabro, which the gallery does not have as a species": 1}
    assert report.in_words == (
        "1 review: 0 recordings of 0 species, 1 counterexample of 1 taxon; not learnt from 1 detection of Vespa "
        "crabro, which the gallery does not have as a species"
    )


def begin_in(journal: Journal, pack: Pack) -> int:
    deployment = replace(DEPLOYMENT, space=pack.space)
    return journal.open_stream(journal.begin(deployment, DAWN), MICROPHONE, DAWN)


@pytest.mark.parametrize("space", ["toy", "another"])
def test_a_detection_without_a_vector_is_learnt_from_its_clip(journal, pack, path, tmp_path, space):
    """Of the clip only the stretch of the detection counts: before it a cuckoo calls."""
    stream = journal.open_stream(journal.begin(replace(DEPLOYMENT, space=space), DAWN), MICROPHONE, DAWN)
    number = journal.record(stream, replace(GREAT_TIT, start_s=40.0, end_s=50.0))
    file = tmp_path / "2025" / "05" / "tit.flac"
    file.parent.mkdir(parents=True)
    cuckoo = toy.tone(3000, seconds=20.0, rate_hz=CARD_HZ)
    soundfile.write(file, 0.5 * np.concatenate([cuckoo, gate()]), CARD_HZ)
    journal.add_clip(Clip(str(file), "flac", 20.0, 50.0, stream, 4, DAWN), [number])
    review(journal, number, "rejected")

    assert learn(journal, pack, path).counterexamples == {TIT: 1}
    assert heard(pack, gate(), path) == set()
    with Gallery.open(path) as gallery:
        [example] = gallery.counterexamples()
    assert "clip 2025/05/tit.flac" in example.source and str(tmp_path) not in example.source


def test_what_cannot_be_learnt_is_counted_with_the_reason(journal, pack, path, tmp_path):
    stream = begin_in(journal, pack)
    silent, gone, plain, broken = (journal.record(stream, GREAT_TIT) for _ in range(4))
    file = tmp_path / "silent.wav"
    soundfile.write(file, np.zeros(CARD_HZ), CARD_HZ)
    journal.add_clip(Clip(str(file), "wav", 15.0, 25.0, stream, 4, DAWN), [silent])
    journal.add_clip(Clip(str(tmp_path / "gone.wav"), "wav", 15.0, 25.0, stream, 4, DAWN), [gone])
    journal._db.execute("INSERT INTO vectors VALUES (?, ?)", [broken, np.full(4, np.nan, "<f2").tobytes()])
    for number in (1, silent, gone, plain, broken):
        review(journal, number, "rejected")

    report = learn(journal, pack, path)
    assert report.counterexamples == {TIT: 1}
    assert report.left_out == {
        "without a vector of this pack's space and with a clip that cannot be read": 1,
        "without a vector of this pack's space and without a clip": 2,
        "whose vector is damaged": 1,
    }


def test_a_journal_of_another_space_teaches_nothing_and_says_why(journal, pack, path, tmp_path):
    review(journal, 1, "rejected")
    learn(journal, pack, path)
    before = path.read_bytes()
    other = Pack.load(toy.make(tmp_path / "other", space="other"))

    with pytest.raises(JournalError, match="nothing can be learnt from the reviews: 1 detection without .*--pack"):
        learn(journal, other, path)
    assert path.read_bytes() == before


def test_a_journal_that_is_only_read_teaches_as_well(journal, pack, path):
    review(journal, 1, "rejected")
    with Reader(journal.path) as reader:
        assert learn(reader, pack, path).changed


def test_a_folder_that_cannot_be_written_is_named(journal, pack, tmp_path, monkeypatch):
    review(journal, 1, "rejected")
    with pytest.raises(GalleryError, match="no folder .*; make the folder first"):
        learn(journal, pack, tmp_path / "nowhere" / "x.sqlite")
    monkeypatch.setattr("gallery.sqlite.writable", lambda path: False)  # who runs as root may write everywhere
    with pytest.raises(GalleryError, match="cannot be written; choose a folder of yours"):
        learn(journal, pack, tmp_path / "x.sqlite")


@pytest.mark.parametrize("content", [b"", b"SQLite format 3\0" + b"\0" * 5000])
def test_a_damaged_learned_gallery_is_refused_with_a_remedy_and_replaced(journal, pack, path, content):
    path.write_bytes(content)
    with pytest.raises(GalleryError, match="what was learnt cannot be used: .*; `biovita-edge journal learn`"):
        read_learned(path, pack.identity)
    review(journal, 1, "rejected")
    assert learn(journal, pack, path).changed
    assert read_learned(path, pack.identity).sha256


def test_what_was_learnt_with_another_pack_is_refused(journal, pack, path, tmp_path):
    review(journal, 1, "rejected")
    learn(journal, pack, path)
    other = Pack.load(toy.make(tmp_path / "other", space="other"))
    with pytest.raises(OtherSpaceError, match="was learnt with pack toy 1.0, not toy 1.0; .*--learned none"):
        Recogniser(other, threads=1, learned=path)


def test_the_gallery_of_the_pack_is_not_changed(journal, pack, path):
    before = pack.gallery_path().read_bytes()
    review(journal, 1, "corrected", TOAD)
    learn(journal, pack, path)
    assert pack.gallery_path().read_bytes() == before


def test_documents_say_which_learned_gallery_counted(journal, pack, path):
    review(journal, 1, "rejected")
    learn(journal, pack, path)
    origin = Recogniser(pack, threads=1, learned=path).origin
    assert origin.learned_sha256 == read_learned(path, pack.identity).sha256
    assert Recogniser(pack, threads=1).origin.learned_sha256 is None


def test_an_older_journal_has_learnt_nothing(tmp_path):
    with Journal.open(tmp_path / "j.sqlite") as journal:
        journal.record(begin(journal), GREAT_TIT)
        [row] = journal.detections()
    assert row["learned_sha256"] is None


def test_the_starter_pack_learns_from_the_bundled_example(starter_pack, tmp_path):
    """Its detection is rejected; then the window it was surest in names it no longer, and all others are as before."""
    pack = Pack.load(starter_pack)
    recogniser, path = Recogniser(pack, threads=1), tmp_path / "j.learned.sqlite"
    rate_hz = pack.audio.rate_hz
    sound = load(EXAMPLE, rate_hz)
    with Journal.open(tmp_path / "j.sqlite") as journal:
        Listening(recogniser, journal).hear(load(EXAMPLE, CARD_HZ))
        [row] = journal.detections()
        review(journal, row["id"], "rejected")
        learn(journal, pack, path)

    before = list(recogniser.windows(MemorySource(sound, rate_hz)))
    recogniser.lay_over(read_learned(path, pack.identity))
    after = list(recogniser.windows(MemorySource(sound, rate_hz)))

    place = recogniser.vocabulary.rows[row["scientific_name"]]
    others = np.arange(len(recogniser.taxa)) != place
    for one, two in zip(before, after, strict=True):
        assert (one.confidences[others] == two.confidences[others]).all()
        assert two.confidences[place] <= one.confidences[place]
    surest = max(range(len(before)), key=lambda n: before[n].confidences[place])
    assert before[surest].confidences[place] > 0.5 > after[surest].confidences[place]


def test_no_other_file_is_taken_for_a_learned_gallery(journal, pack, tmp_path):
    listed, other, shared = tmp_path / "settings.toml", tmp_path / "gallery.sqlite", tmp_path / "shared.sqlite"
    listed.write_text("[station]")
    other.write_bytes(pack.gallery_path().read_bytes())
    before = other.read_bytes()
    for path in (listed, other, journal.path):
        for change in (lambda path: learn(journal, pack, path), forget):
            with pytest.raises(GalleryError, match="was not learnt from reviews, and is left as it is"):
                change(path)
    assert listed.read_text() == "[station]" and other.read_bytes() == before
    review(journal, 1, "rejected")
    assert learn(journal, pack, shared).changed and forget(shared)
