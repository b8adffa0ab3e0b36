"""The species that a name stands for, however it is written."""

from __future__ import annotations

import pytest

from edgeapp.collect.taxonomy.names import Name, NoSpecies, epithet_stem, parsed

SPECIES = """
Parus major -> Parus major
Parus major Linnaeus, 1758 -> Parus major
Parus major (Linnaeus, 1758) -> Parus major
Parus major L. -> Parus major
Parus_major -> Parus major
parus major -> Parus major
PARUS MAJOR -> Parus major
PARUS MAJOR LINNAEUS, 1758 -> Parus major
Parus Major -> Parus major
Parus (Parus) major Linnaeus, 1758 -> Parus major
Parus major s.str. -> Parus major
Rana temporaria de Witte, 1930 -> Rana temporaria
Hyla arborea van Denburgh -> Hyla arborea
Sylvia curruca d'Orbigny -> Sylvia curruca
Polygonia c-album -> Polygonia c-album
Coccinella 7-punctata -> Coccinella 7-punctata
Ia io -> Ia io
Aythya affinis -> Aythya affinis
Bubo bubo -> Bubo bubo
Passer domesticus -> Passer domesticus
Felis catus -> Felis catus
Junco hyemalis [oreganus Group] -> Junco hyemalis
Alca torda† -> Alca torda
<i>Parus major</i> Linnaeus, 1758 -> Parus major
'Parus major' -> Parus major
Parus major\u200b -> Parus major
Corvus (corone) cornix -> Corvus cornix
Pelophylax kl. esculentus -> Pelophylax esculentus
Phrynosoma m'calli -> Phrynosoma mcalli
Rhipidura rufifrons Latham & Hartert -> Rhipidura rufifrons
Parus novus sp. nov. -> Parus novus
Parus novus n. sp. -> Parus novus
Parus novus Müller, 1840, comb. nov. -> Parus novus
Pitta erythrogaster Meyer and Wiglesworth in litt. -> Pitta erythrogaster
"""
SUBSPECIES = """
Parus major major -> Parus major major
Parus major major Linnaeus, 1758 -> Parus major major
Parus major subsp. newtoni Pražák, 1894 -> Parus major newtoni
Parus major Linnaeus, 1758 ssp. newtoni -> Parus major newtoni
Apis mellifera ligustica Spinola, 1806 -> Apis mellifera ligustica
Larus fuscus graellsii A. Brehm, 1857 -> Larus fuscus graellsii
Motacilla flava flava/thunbergi -> Motacilla flava flava
Setophaga coronata coronata x auduboni -> Setophaga coronata coronata
Corvus corone corone × Corvus corone cornix -> Corvus corone corone
Junco hyemalis oreganus group -> Junco hyemalis oreganus
Passer domesticus domesticus -> Passer domesticus domesticus
Quelea quelea lathamii (A. Smith, 1836) -> Quelea quelea lathamii
"""
NONE = {
    NoSpecies.NO_NAME: ["", "  ", "123"],
    NoSpecies.ABOVE_SPECIES: [
        *("Parus", "Paridae", "Aves", "Parus sp.", "Parus sp", "Parus spp.", "Parus sp. 1", "Parus indet."),
        *(
            "Parus species",
            "Paridae sp.",
            "Parus sp. nov.",
            "Gen. sp. nov.",
            "Parus n. sp.",
            "Parus spec. nov.",
            "Hyla sp. 'green'",
            "Parus Linnaeus, 1758",
            "BOLD:AAB1234",
        ),
        *("Parus spec.", "Mystery mystery", "Sonus naturalis", "Unidentified bird", "Unknown"),
    ],
    NoSpecies.UNCERTAIN: [
        *("Parus cf. major", "cf. Parus major", "Parus major cf. minor", "Parus aff. major", "Parus major?"),
        *("Parus ?major", "Parus nr. major", "Aythya aff. affinis"),
    ],
    NoSpecies.HYBRID: [
        *("Anas platyrhynchos × Anas acuta", "Anas platyrhynchos x acuta", "Anas platyrhynchos X rubripes"),
        *("Parus major X Parus minor", "Parus major X P. minor", "Parus major Hybrid", "HYBRID Parus major"),
        *("Mentha ×piperita", "×Amarcrinum", "Corvus corone × cornix", "Parus major x", "Hyla arborea x H. intermedia"),
    ],
    NoSpecies.SEVERAL: [
        *("Turdus merula & Parus major", "Turdus merula; Parus major", "Turdus merula and Parus major"),
        *("Turdus merula + Parus major", "Turdus merula, Parus major", "Turdus merula Linnaeus | Parus major"),
        *("Larus argentatus/smithsonianus", "Pelophylax esculentus complex", "Parus major agg.", "Parus major s.l."),
        *("Bufo bufo or spinosus", "Bufo bufo or Bufo spinosus", "Bufo bufo vel spinosus", "Bufo bufo & spinosus"),
        *("Parus major group", "Parus (major) group", "Bufo bufo Group"),
    ],
    NoSpecies.VIRUS: ["Rana grylio virus", "Tobacco mosaic virus", "Ranavirus", "Anas platyrhynchos Viruses"],
}
DOMESTIC = [
    *("Columba livia (Feral Pigeon)", "Anas platyrhynchos (Domestic type)", "Gallus gallus domesticus"),
    *("Anser anser f. domestica", "Canis lupus familiaris Linnaeus, 1758", "Felis silvestris catus"),
    *("Columba livia f. dom.", "Melopsittacus undulatus (dom.)"),
    *("Columba livia var. domestica", "Equus ferus caballus"),
]


def pairs(text: str) -> list[list[str]]:
    return [line.split(" -> ") for line in text.strip().splitlines()]


@pytest.mark.parametrize(("text", "species"), pairs(SPECIES))
def test_a_species_is_found_in_what_is_written(text: str, species: str) -> None:
    name = parsed(text)
    assert isinstance(name, Name)
    assert (name.species, name.subspecies, name.domestic) == (species, "", False)


@pytest.mark.parametrize(("text", "subspecies"), pairs(SUBSPECIES))
def test_a_subspecies_stands_for_its_species(text: str, subspecies: str) -> None:
    name = parsed(text)
    assert isinstance(name, Name)
    assert (name.species, name.subspecies) == (" ".join(subspecies.split()[:2]), subspecies)
    assert not name.domestic


@pytest.mark.parametrize(("reason", "text"), [(reason, text) for reason, texts in NONE.items() for text in texts])
def test_what_is_no_species_says_why(reason: NoSpecies, text: str) -> None:
    assert parsed(text) is reason


@pytest.mark.parametrize("text", DOMESTIC)
def test_domestic_forms_are_known(text: str) -> None:
    name = parsed(text)
    assert isinstance(name, Name)
    assert name.domestic


def test_a_capitalised_second_word_may_be_an_author() -> None:
    assert parsed("Parus Linnaeus") == Name("Parus linnaeus", certain=False)


def test_the_authorship_is_kept() -> None:
    assert parsed("Parus major newtoni Pražák, 1894") == Name("Parus major", "Parus major newtoni", "Pražák, 1894")


@pytest.mark.parametrize("length", [1, 499, 501, 100_000])
def test_a_name_of_any_length_is_read(length: int) -> None:
    parsed("P" + "x" * length + " major")


def test_epithets_of_another_gender_share_a_stem() -> None:
    assert epithet_stem("poecile montana") == epithet_stem("poecile montanus") == "poecile montan"
    assert epithet_stem("larus smithii") == epithet_stem("larus smithi")
    assert epithet_stem("parus major") != epithet_stem("parus minor")


def test_every_species_that_comes_with_the_program_is_one() -> None:
    from edgeapp.pack.names import shipped_species
    from gallery.taxon import starter_taxa

    names = [
        name for taxon in (*starter_taxa(), *shipped_species()) for name in (taxon.scientific_name, *taxon.synonyms)
    ]
    assert len(names) > 8000
    assert {name for name in names if not isinstance(parsed(name), Name) and "/" not in name} == set()
