"""The species table shipped in the project: complete, consistent and right."""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from gallery.taxon import RANKS, Taxon, starter_taxa

HIGHER_RANKS = RANKS[:-1]

# Written out by hand, so that a slip in the table cannot hide in a rule derived from it.
FACTS = [
    ("Parus major", "Great Tit", "Aves", "Passeriformes", "Paridae"),
    ("Falco peregrinus", "Peregrine Falcon", "Aves", "Falconiformes", "Falconidae"),
    ("Accipiter gentilis", "Northern Goshawk", "Aves", "Accipitriformes", "Accipitridae"),
    ("Apus apus", "Common Swift", "Aves", "Caprimulgiformes", "Apodidae"),
    ("Selasphorus rufus", "Rufous Hummingbird", "Aves", "Caprimulgiformes", "Trochilidae"),
    ("Chamaea fasciata", "Wrentit", "Aves", "Passeriformes", "Paradoxornithidae"),
    ("Setophaga coronata", "Yellow-rumped Warbler", "Aves", "Passeriformes", "Parulidae"),
    ("Jabiru mycteria", "Jabiru", "Aves", "Ciconiiformes", "Ciconiidae"),
    ("Egretta thula", "Snowy Egret", "Aves", "Pelecaniformes", "Ardeidae"),
    ("Onychoprion fuscatus", "Sooty Tern", "Aves", "Charadriiformes", "Laridae"),
    ("Gallus gallus domesticus", "Domestic Chicken", "Aves", "Galliformes", "Phasianidae"),
    ("Lithobates catesbeianus", "American Bullfrog", "Amphibia", "Anura", "Ranidae"),
    ("Anaxyrus americanus", "American Toad", "Amphibia", "Anura", "Bufonidae"),
    ("Gastrophryne carolinensis", "Eastern Narrow-mouthed Toad", "Amphibia", "Anura", "Microhylidae"),
    ("Scaphiopus holbrookii", "Eastern Spadefoot", "Amphibia", "Anura", "Scaphiopodidae"),
    ("Canis familiaris", "Domestic Dog", "Mammalia", "Carnivora", "Canidae"),
    ("Bos taurus", "Domestic Cattle", "Mammalia", "Artiodactyla", "Bovidae"),
]

SAME_SPECIES = [
    ("Accipiter gentilis", "Astur gentilis"),
    ("Corvus monedula", "Coloeus monedula"),
    ("Charadrius nivosus", "Anarhynchus nivosus"),
    ("Leucolia violiceps", "Ramosomyia violiceps"),
    ("Lithobates sylvaticus", "Rana sylvatica"),
    ("Dryophytes cinereus", "Hyla cinerea"),
    ("Canis familiaris", "Canis lupus familiaris"),
]

# Names of a relative, a lump or a wild ancestor, which a careless lookup in a newer list would bring in.
OTHER_SPECIES = [
    ("Accipiter gentilis", "Astur atricapillus"),
    ("Acanthis hornemanni", "Acanthis flammea"),
    ("Aphelocoma woodhouseii", "Aphelocoma californica"),
    ("Butorides virescens", "Butorides striata"),
    ("Rallus crepitans", "Rallus longirostris"),
    ("Baeolophus inornatus", "Parus inornatus"),
    ("Gallus gallus domesticus", "Gallus gallus"),
    ("Sus domesticus", "Sus scrofa"),
]


@pytest.fixture(scope="module")
def taxa() -> dict[str, Taxon]:
    return {taxon.scientific_name: taxon for taxon in starter_taxa()}


def test_every_species_of_the_manifest_is_in_the_table(shared: Path, taxa: dict[str, Taxon]) -> None:
    with (shared / "starter" / "manifest.csv").open(encoding="utf-8", newline="") as file:
        classes = {row["scientific_name"]: row["taxon_class"] for row in csv.DictReader(file)}

    assert sorted(set(classes) - set(taxa)) == []
    assert {name: taxa[name].class_ for name in classes} == classes


def test_no_scientific_or_common_name_is_given_twice() -> None:
    table = starter_taxa()
    for names in ([t.scientific_name for t in table], [t.common_name.casefold() for t in table]):
        assert [name for name, count in Counter(names).items() if count > 1] == []


def test_every_row_is_complete(taxa: dict[str, Taxon]) -> None:
    empty = [(name, rank) for name, taxon in taxa.items() for rank in RANKS if not taxon.at(rank).strip()]

    assert empty == []
    assert [name for name, taxon in taxa.items() if not taxon.common_name.strip()] == []


def test_no_name_carries_stray_white_space(taxa: dict[str, Taxon]) -> None:
    names = [
        name
        for taxon in taxa.values()
        for name in (*map(taxon.at, RANKS), taxon.common_name, *taxon.synonyms)
        if name != " ".join(name.split())
    ]

    assert names == []


def test_genus_is_the_first_word_of_the_scientific_name(taxa: dict[str, Taxon]) -> None:
    assert {name: taxon.genus for name, taxon in taxa.items()} == {name: name.split()[0] for name in taxa}


@pytest.mark.parametrize(("rank", "parent"), list(zip(HIGHER_RANKS[1:], HIGHER_RANKS, strict=False)))
def test_a_name_has_one_parent_only(taxa: dict[str, Taxon], rank: str, parent: str) -> None:
    parents: dict[str, set[str]] = defaultdict(set)
    for taxon in taxa.values():
        parents[taxon.at(rank)].add(taxon.at(parent))

    assert {name: found for name, found in parents.items() if len(found) > 1} == {}


def test_family_and_order_names_have_their_zoological_endings(taxa: dict[str, Taxon]) -> None:
    assert [t.family for t in taxa.values() if not t.family.endswith("idae")] == []
    assert [t.order for t in taxa.values() if t.class_ == "Aves" and not t.order.endswith("iformes")] == []


def test_a_synonym_leads_to_one_species_only(taxa: dict[str, Taxon]) -> None:
    synonyms = [synonym.casefold() for taxon in taxa.values() for synonym in taxon.synonyms]

    assert [name for name, count in Counter(synonyms).items() if count > 1] == []
    assert sorted(set(synonyms) & {name.casefold() for name in taxa}) == []


@pytest.mark.parametrize(("name", "common_name", "class_", "order", "family"), FACTS)
def test_known_facts(taxa: dict[str, Taxon], name: str, common_name: str, class_: str, order: str, family: str) -> None:
    taxon = taxa[name]

    assert (taxon.kingdom, taxon.phylum) == ("Animalia", "Chordata")
    assert (taxon.common_name, taxon.class_, taxon.order, taxon.family) == (common_name, class_, order, family)


@pytest.mark.parametrize(("name", "synonym"), SAME_SPECIES)
def test_other_names_of_the_same_species_are_synonyms(taxa: dict[str, Taxon], name: str, synonym: str) -> None:
    assert synonym in taxa[name].synonyms


@pytest.mark.parametrize(("name", "stranger"), OTHER_SPECIES)
def test_names_of_other_species_are_no_synonyms(taxa: dict[str, Taxon], name: str, stranger: str) -> None:
    assert stranger not in taxa[name].synonyms
