"""Which stretches a report shows: of every taxon the best first, none twice, as much sound as there is room for."""

from __future__ import annotations

from dataclasses import replace

from edgeapp.web.report.model import Heard
from edgeapp.web.report.name import Name
from edgeapp.web.report.stretches import PAD_S, STRETCH_S, chosen
from edgeapp.web.report.tally import BEST_OF_TAXON, Tally

TIT, CUCKOO = Name("species", "Parus major", "Great Tit"), Name("species", "Cuculus canorus", "Common Cuckoo")


def heard(name=TIT, start_s=10.0, end_s=13.0, confidence=0.9, recording="r1", best_s=None, file="a.wav", **more):
    return Heard(name, confidence, recording, start_s, end_s, start_s if best_s is None else best_s, file, **more)


def taxa_of(*detections):
    tally = Tally()
    for one in detections:
        tally.add(one)
    return tally.taxa()


def test_every_taxon_has_its_best_before_any_has_a_second():
    tits = [heard(start_s=100.0 * n, end_s=100.0 * n + 3, confidence=0.9 - n / 100) for n in range(5)]
    found = chosen(taxa_of(*tits, heard(CUCKOO, 1000.0, 1003.0, 0.3)), 1000.0)
    assert [(one.heard.name, one.heard.start_s) for one in found] == [(TIT, 0), (CUCKOO, 1000), (TIT, 100), (TIT, 200)]
    assert len([one for one in found if one.heard.name == TIT]) == BEST_OF_TAXON


def test_a_stretch_has_a_little_before_and_after_it():
    (one,) = chosen(taxa_of(heard()), 100.0)
    assert (one.start_s, one.end_s) == (10 - PAD_S, 13 + PAD_S)
    (first,) = chosen(taxa_of(heard(start_s=0.0, end_s=3.0)), 100.0)
    assert first.start_s == 0


def test_of_a_long_detection_the_part_around_its_best_window_is_shown():
    (one,) = chosen(taxa_of(heard(start_s=0.0, end_s=600.0, best_s=300.0)), 100.0)
    assert one.end_s - one.start_s == STRETCH_S and one.start_s < 300 < one.end_s - 3
    (late,) = chosen(taxa_of(heard(start_s=0.0, end_s=600.0, best_s=597.0)), 100.0)
    assert late.end_s == 600 + PAD_S and late.end_s - late.start_s == STRETCH_S


def test_species_that_sing_together_share_a_stretch():
    first, second = chosen(taxa_of(heard(), heard(CUCKOO)), 100.0)
    assert (first.same, second.same) == (None, 0)
    assert (first.sound, second.sound) == (True, False)
    assert (first.start_s, first.end_s) == (second.start_s, second.end_s)


def test_sound_goes_to_the_best_while_there_is_room():
    found = chosen(taxa_of(heard(), heard(CUCKOO, recording="r2")), 5.0)
    assert [one.sound for one in found] == [True, False]
    assert not any(one.sound for one in chosen(taxa_of(heard()), 0.0))


def test_what_cannot_be_read_again_is_not_shown():
    assert chosen(taxa_of(heard(file="")), 100.0) == []


def test_what_can_be_heard_and_what_was_confirmed_is_best():
    gone, sure = heard(confidence=0.99, file=""), heard(start_s=50.0, end_s=53.0, confidence=0.9)
    confirmed = replace(heard(start_s=90.0, end_s=93.0, confidence=0.4), review="confirmed")
    (taxon,) = taxa_of(gone, sure, confirmed)
    assert taxon.best == [confirmed, sure, gone]
    assert taxon.confidence == 0.99 and taxon.count == 3


def test_tallies_of_recordings_add_up_in_their_order():
    whole, first, second = Tally(), Tally(), Tally()
    first.add(heard(confidence=0.5))
    second.add(heard(confidence=0.8, recording="r2"))
    second.add(heard(CUCKOO, confidence=0.6, recording="r2"))
    whole.merge(first)
    whole.merge(second)
    tit, cuckoo = whole.taxa()
    assert (tit.count, tit.confidence, tit.seconds, tit.recordings) == (2, 0.8, 6.0, {"r1", "r2"})
    assert (tit.first.recording, tit.last.recording) == ("r1", "r2")
    assert [one.confidence for one in tit.best] == [0.8, 0.5]
    assert cuckoo.count == 1
