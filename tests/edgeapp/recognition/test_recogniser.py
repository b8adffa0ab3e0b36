"""One way through: known sounds get known names, however they arrive."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from edgeapp.audio.file import FileSource
from edgeapp.audio.memory import MemorySource
from edgeapp.errors import AudioError, GalleryError, UsageError
from edgeapp.pack.format import Pack
from edgeapp.recognition.ahead import THREADS
from edgeapp.recognition.gallery_build import build_gallery
from edgeapp.recognition.merging import Merger
from edgeapp.recognition.recogniser import Recogniser, Tally
from gallery.errors import TaxonError
from gallery.pooling import Pool
from tests.edgeapp import toy_pack as toy

MIXED = np.concatenate(
    [toy.tone(1000, seconds=20), toy.noise(13), np.zeros(160_000, np.float32), toy.tone(3000, seconds=24)]
)


def names(recogniser, sound, rate_hz=toy.RATE_HZ, **options):
    """The detected taxa of each window, joined by a plus; None for a window without."""
    results = recogniser.windows(MemorySource(sound, rate_hz, **options))
    return [" + ".join(sorted(one.scientific_name for one in result.detections)) or None for result in results]


@pytest.mark.parametrize(("species", "hertz"), toy.TONES_HZ.items())
def test_a_tone_is_its_species(recogniser, species, hertz):
    assert names(recogniser, toy.tone(hertz)) == [species]


@pytest.mark.parametrize("rate_hz", [8_000, 22_050, 48_000, 192_000])
def test_the_rate_of_the_recording_does_not_matter(recogniser, rate_hz):
    assert names(recogniser, toy.tone(1000, rate_hz=rate_hz), rate_hz) == ["Parus major"]


def test_two_species_at_once_are_both_detected(recogniser):
    assert names(recogniser, toy.tone(1000, 3000)) == ["Cuculus canorus + Parus major"]
    assert names(recogniser, toy.tone(1000, 2000)) == ["Parus major + Parus minor"]


def test_another_species_does_not_lower_a_confidence(recogniser):
    (alone,), (together,) = (
        recogniser.windows(MemorySource(sound, toy.RATE_HZ)) for sound in (toy.tone(1000), toy.tone(1000, 3000))
    )
    (song,) = alone.detections
    with_it = next(one for one in together.detections if one.scientific_name == "Parus major")
    assert with_it.confidence == pytest.approx(song.confidence, abs=1e-3)


def test_noise_is_heard_but_nothing_known(recogniser):
    (result,) = recogniser.windows(MemorySource(toy.noise(), toy.RATE_HZ))
    assert result.heard and result.vector is not None and result.detections == ()


def test_silence_is_nothing_heard_and_is_not_encoded(recogniser, monkeypatch):
    monkeypatch.setattr(recogniser.encoder, "encode", lambda windows: pytest.fail("silence was encoded"))
    for sound in (np.zeros(80_000), np.full(80_000, 0.2), toy.tone(1000, level=1e-5)):
        (result,) = recogniser.windows(MemorySource(sound, toy.RATE_HZ))
        assert not result.heard and result.vector is None and result.detections == ()
        assert not result.confidences.any()
        assert recogniser.species(result, 5) == ()


def test_a_microphone_a_file_and_memory_give_the_same(recogniser, record):
    path = record("mixed.wav", MIXED, subtype="FLOAT")
    sources = [FileSource(path), MemorySource(MIXED, 8000), MemorySource(MIXED, 8000, block=123, live=True)]
    one, *others = ([*recogniser.windows(source)] for source in sources)
    assert len(one) == 15 and {result.heard for result in one} == {True, False}
    for other in others:
        for a, b in zip(one, other, strict=True):
            assert (a.start_s, a.end_s, a.heard) == (b.start_s, b.end_s, b.heard)
            assert [one.path for one in a.detections] == [one.path for one in b.detections]
            np.testing.assert_allclose(a.confidences, b.confidences, atol=1e-6)


def test_a_live_source_is_answered_before_it_goes_on(recogniser):
    source = MemorySource(toy.tone(1000, seconds=30), toy.RATE_HZ, block=800, live=True)
    given = 0
    blocks = source.blocks

    def counted():
        nonlocal given
        for block in blocks():
            given += 1
            yield block

    source.blocks = counted
    results = recogniser.windows(source)
    next(results)
    assert given == 100  # ten seconds, not one block more
    results.close()


def test_the_source_is_closed_however_it_ends(recogniser):
    class Watched(MemorySource):
        closed = False

        def close(self):
            self.closed = True

    done, abandoned, failed = (Watched(toy.noise(seconds), toy.RATE_HZ) for seconds in (10, 900, 0.1))
    list(recogniser.windows(done))
    results = recogniser.windows(abandoned)
    next(results)
    results.close()
    with pytest.raises(AudioError):
        list(recogniser.windows(failed))
    assert done.closed and abandoned.closed and failed.closed
    assert not [t for t in threading.enumerate() if t.name == THREADS]


@pytest.mark.parametrize("workers", [1, 3])
def test_windows_side_by_side_are_those_one_after_the_other(toy_pack, workers):
    live = Recogniser(Pack.load(toy_pack), threads=1, live=True)
    beside = Recogniser(Pack.load(toy_pack), threads=workers)
    assert beside.workers == workers
    wanted = list(live.windows(MemorySource(MIXED, toy.RATE_HZ, live=True), hop_s=2.5))
    given = list(beside.windows(MemorySource(MIXED, toy.RATE_HZ), hop_s=2.5))
    assert len(wanted) == len(given) > 20
    for a, b in zip(wanted, given, strict=True):
        assert (a.start_s, a.end_s, a.heard) == (b.start_s, b.end_s, b.heard)
        assert [one.path for one in a.detections] == [one.path for one in b.detections]
        if a.heard:
            assert float(a.vector @ b.vector) >= 0.9999


def test_an_accelerator_works_on_batches_one_after_the_other(toy_pack, monkeypatch):
    """The pipeline decides by the provider that really ran; here one pretends to be a GPU."""
    from edgeapp.recognition import recogniser as module

    running, sizes = threading.Lock(), []

    class OnGpu(module.AudioEncoder):
        def __init__(self, pack, threads=None, provider=None):
            super().__init__(pack, threads, provider)
            self.provider = "CUDAExecutionProvider"

        def encode(self, windows):
            assert running.acquire(blocking=False), "two runs at once"
            sizes.append(len(windows))
            vectors = super().encode(windows)
            running.release()
            return vectors

    monkeypatch.setattr(module, "AudioEncoder", OnGpu)
    recogniser = Recogniser(Pack.load(toy_pack), threads=4)
    assert names(recogniser, toy.tone(1000, seconds=105)) == ["Parus major"] * 20
    assert sorted(sizes) == [4, 8, 8]


class TestLargeGalleries:
    @pytest.fixture
    def decided(self, recogniser, monkeypatch):
        """Windows decided in each call, with a gallery that counts as large."""
        from edgeapp.recognition import recogniser as module

        found, plain = [], module.recognise
        monkeypatch.setattr(module, "LARGE_GALLERY", 0)
        monkeypatch.setattr(
            module, "recognise", lambda vectors, *rest: found.append(len(vectors)) or plain(vectors, *rest)
        )
        return found

    def test_many_windows_are_decided_at_once_with_the_same_result(self, recogniser, decided):
        results = list(recogniser.windows(MemorySource(MIXED, toy.RATE_HZ)))
        at_once = list(decided)
        live = list(recogniser.windows(MemorySource(MIXED, toy.RATE_HZ, live=True)))
        assert at_once[0] >= 8 and sum(at_once) == len(results) and set(decided[len(at_once) :]) == {1}
        assert [(one.start_s, one.detections) for one in results] == [(one.start_s, one.detections) for one in live]

    def test_what_came_before_damage_is_given(self, recogniser, decided):
        class Damaged(MemorySource):
            def blocks(self):
                yield from super().blocks()
                raise AudioError("the rest is damaged", "")

        given = []
        with pytest.raises(AudioError, match="the rest is damaged"):
            for one in recogniser.windows(Damaged(MIXED, toy.RATE_HZ)):
                given.append(one)
        assert len(given) >= 10 and sum(decided) == len(given)


def test_the_summary_is_that_of_all_windows(recogniser):
    results = list(recogniser.windows(MemorySource(MIXED, toy.RATE_HZ), hop_s=2.0))
    tally, pool = Tally(recogniser.vocabulary), Pool(4, recogniser.parameters)
    for result in results:
        tally.add(result)
        pool.add(result)
    assert (tally.end_s, tally.n_windows, tally.heard) == (pytest.approx(77.0), len(results), True)
    by_name = dict(
        zip((taxon.scientific_name for taxon in recogniser.vocabulary.taxa), pool.confidences(), strict=True)
    )
    first, second, *_ = tally.species(5)
    assert {first.scientific_name, second.scientific_name} == {"Parus major", "Cuculus canorus"}
    for species in (first, second):
        assert species.confidence == pytest.approx(by_name[species.scientific_name], abs=1e-6)
        assert species.similarity == pytest.approx(1.0, abs=1e-3)


def test_the_summary_does_not_grow_with_the_recording(recogniser):
    tally = Tally(recogniser.vocabulary)
    (result,) = recogniser.windows(MemorySource(toy.tone(1000), toy.RATE_HZ))
    for _ in range(500):
        tally.add(result)
    assert len(tally._pool._best) == recogniser.parameters.pool_windows
    assert tally.species(1)[0].scientific_name == "Parus major"


def test_only_keeps_the_taxa_below_a_name(toy_pack):
    recogniser = Recogniser(Pack.load(toy_pack), only=["Amphibia", "Common Cuckoo"], threads=1)
    assert {taxon.scientific_name for taxon in recogniser.vocabulary.taxa} == {"Bufo bufo", "Cuculus canorus"}
    assert names(recogniser, toy.tone(1000)) == [None]
    with pytest.raises(TaxonError, match="Parus"):
        Recogniser(Pack.load(toy_pack), only=["Paruss"])


def test_modalities_choose_what_is_matched(toy_pack, tmp_path):
    from PIL import Image

    from edgeapp.recognition.material import Material

    pack = Pack.load(toy_pack)
    Image.new("RGB", (20, 20), (0, 255, 0)).save(tmp_path / "green.png")  # the cuckoo's colour, given to the tit
    photo = Material(tmp_path / "green.png", "Parus major", "image")
    build_gallery(tmp_path / "g.sqlite", pack, toy.taxa(), [photo])
    by_photo = Recogniser(pack, tmp_path / "g.sqlite", modalities=["image"], threads=1)
    assert [taxon.scientific_name for taxon in by_photo.vocabulary.taxa] == ["Parus major"]
    assert names(by_photo, toy.tone(3000)) == ["Parus major"]
    by_text = Recogniser(pack, tmp_path / "g.sqlite", modalities=["text"], threads=1)
    assert names(by_text, toy.tone(3000)) == ["Cuculus canorus"]
    with pytest.raises(UsageError, match="no audio entry"):
        Recogniser(pack, tmp_path / "g.sqlite", modalities=["audio"])
    with pytest.raises(UsageError, match="unknown modality 'video'"):
        Recogniser(pack, modalities=["video"])


def test_a_gallery_made_by_other_encoders_is_refused(toy_pack, tmp_path):
    other = toy.make(tmp_path / "other", space="other-space")
    with pytest.raises(GalleryError, match="other-space"):
        Recogniser(Pack.load(toy_pack), other / "gallery.sqlite")


def test_a_hop_must_go_somewhere(recogniser):
    with pytest.raises(UsageError, match="must be greater than 0"):
        list(recogniser.windows(MemorySource(toy.tone(1000), toy.RATE_HZ), hop_s=0.0))


def test_windows_are_as_the_pack_wants_them(short_pack):
    recogniser = Recogniser(Pack.load(short_pack), threads=1)
    results = list(recogniser.windows(MemorySource(toy.tone(1000, seconds=9), toy.RATE_HZ)))
    assert [(one.start_s, one.end_s) for one in results] == [(0.0, 3.0), (3.0, 6.0), (6.0, 9.0)]
    merger = Merger()
    stretches = [stretch for one in results for stretch in merger.add(one)] + merger.finish()
    assert [(one.start_s, one.end_s, one.windows) for one in stretches] == [(0.0, 9.0, 3)]
    overlapping = recogniser.windows(MemorySource(toy.tone(1000, seconds=9), toy.RATE_HZ), hop_s=1.5)
    assert [one.start_s for one in overlapping] == [0.0, 1.5, 3.0, 4.5, 6.0]


def test_a_short_sound_fills_a_window_as_the_pack_wants_it(short_pack, toy_pack):
    sound = toy.tone(1000, seconds=2)
    [window] = Recogniser(Pack.load(short_pack), threads=1).cut(MemorySource(sound, toy.RATE_HZ))
    assert (window.end_s, len(window.samples)) == (2.0, 3 * toy.RATE_HZ)
    assert not window.samples[2 * toy.RATE_HZ :].any()
    [window] = Recogniser(Pack.load(toy_pack), threads=1).cut(MemorySource(sound, toy.RATE_HZ))
    assert window.samples[2 * toy.RATE_HZ :].any()
