"""Which accepted species a name stands for, by backbones of every layout."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgeapp.collect.taxonomy.backbone import ANOTHER, HOMONYM, NOT_THERE, Backbone, Match
from edgeapp.collect.taxonomy.names import NoSpecies
from edgeapp.errors import CollectError
from tests.edgeapp.collect.taxonomy import checklists


@pytest.fixture(scope="module", params=["dwca.zip", "dwca", "coldp.zip", "coldp_apart"])
def backbone(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backbone]:
    folder = tmp_path_factory.mktemp("backbone")
    write = {"d": checklists.darwin_core, "p": checklists.coldp, "t": checklists.coldp_apart}
    kind = "d" if request.param.startswith("dwca") else "t" if request.param.endswith("apart") else "p"
    with Backbone.open(write[kind](folder / request.param), folder / "collection") as opened:
        yield opened


def name_of(match: Match) -> str:
    return match.taxon.scientific_name if match.taxon else match.reason


@pytest.mark.parametrize(
    ("name", "accepted", "how"),
    [
        ("Parus major", "Parus major", "accepted name"),
        ("Parus major Linnaeus, 1758", "Parus major", "accepted name"),
        ("parus_MAJOR", "Parus major", "accepted name"),
        ("Parus major major", "Parus major", "subspecies"),
        ("Parus major newtoni", "Parus major", "subspecies"),
        ("Parus fringillago", "Parus major", "synonym"),
        ("Corvus corone cornix", "Corvus cornix", "synonym"),
        ("Corvus corone corone", "Corvus corone", "subspecies"),
        ("Poecile montana", "Poecile montanus", "spelling variant"),
        ("Parus Major", "Parus major", "accepted name"),
        ("Canis lupus familiaris", "Canis familiaris", "synonym"),
        ("Sylvia twins", "Sylvia twins", "accepted name"),
        ("Lost cause", "Lost cause", "accepted name"),
        ("Ouro boros", "Ouro boros", "accepted name"),
    ],
)
def test_a_name_leads_to_the_accepted_species(backbone: Backbone, name: str, accepted: str, how: str) -> None:
    match = backbone.match(name)
    assert (name_of(match), match.how, match.reason) == (accepted, how, "")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Parus sp.", NoSpecies.ABOVE_SPECIES.value),
        ("Parus", NoSpecies.ABOVE_SPECIES.value),
        ("Parus Linnaeus", NoSpecies.ABOVE_SPECIES.value),
        ("Parus cf. major", NoSpecies.UNCERTAIN.value),
        ("Parus major × Corvus corone", NoSpecies.HYBRID.value),
        ("Gallus gallus domesticus", NoSpecies.DOMESTIC.value),
        ("Gallus gallus (Domestic type)", NoSpecies.DOMESTIC.value),
        ("Parus fictus", NOT_THERE),
        ("Nowhere synonymus", NOT_THERE),
        ("Round one", NOT_THERE),
        ("", NoSpecies.NO_NAME.value),
    ],
)
def test_a_name_without_a_species_says_why(backbone: Backbone, name: str, reason: str) -> None:
    assert backbone.match(name) == Match(None, reason=reason)


def test_homonyms_are_told_apart_by_what_the_record_says(backbone: Backbone) -> None:
    assert backbone.match("Aus bus").reason == HOMONYM
    assert backbone.match("Aus bus", {"class": "Aves"}).ranks["class"] == "Aves"
    assert backbone.match("Aus bus", {"class": "INSECTA "}).ranks["class"] == "Insecta"
    assert backbone.match("Aus bus Smith, 1900").ranks["class"] == "Insecta"
    assert backbone.match("Aus bus (Jones 1910)").ranks["class"] == "Aves"


def test_a_name_of_another_group_is_not_taken(backbone: Backbone) -> None:
    assert backbone.match("Prunella vulgaris", {"kingdom": "Animalia"}) == Match(None, reason=ANOTHER)
    assert name_of(backbone.match("Parus major", {"class": "Insecta"})) == ANOTHER


def test_another_classification_is_no_contradiction(backbone: Backbone) -> None:
    given = {"kingdom": "Metazoa", "class": "Neoaves", "order": "Pariformes", "family": "Fringillidae"}
    assert name_of(backbone.match("Parus major", given)) == "Parus major"


def test_a_taxon_has_all_ranks_names_and_synonyms(backbone: Backbone) -> None:
    match = backbone.match("Parus fringillago")
    assert list(match.ranks.items()) == [
        ("kingdom", "Animalia"),
        ("phylum", "Chordata"),
        ("class", "Aves"),
        ("order", "Passeriformes"),
        ("family", "Paridae"),
        ("genus", "Parus"),
        ("species", "Parus major"),
    ]
    assert match.taxon is not None
    assert match.taxon.common_names["de"] == "Kohlmeise"
    assert match.taxon.common_name.casefold() == "great tit"
    assert match.taxon.synonyms == ("Parus fringillago",)


def test_the_preferred_common_name_is_taken(tmp_path: Path) -> None:
    with Backbone.open(checklists.darwin_core(tmp_path / "dwca"), tmp_path) as backbone:
        taxon = backbone.match("Parus major").taxon
    assert taxon is not None
    assert taxon.common_name == "Great Tit"


def test_ranks_may_stand_in_the_row_itself(tmp_path: Path) -> None:
    rows = [checklists.usage("a", "Parus major", above=checklists.TIT)]
    with Backbone.open(checklists.darwin_core(tmp_path / "dwca", rows), tmp_path) as backbone:
        assert list(backbone.match("Parus major").ranks.values()) == [*checklists.TIT, "Parus major"]


def test_a_backbone_is_read_once_and_again_when_it_changes(tmp_path: Path) -> None:
    source, read = checklists.darwin_core(tmp_path / "dwca"), []
    for _ in range(2):
        Backbone.open(source, tmp_path / "out", read.append).close()
    assert read == [len(checklists.TAXA) + len(checklists.COMMON_NAMES)]
    checklists.darwin_core(source, [checklists.usage("1", "Novus taxon")])
    with Backbone.open(source, tmp_path / "out", read.append) as backbone:
        assert name_of(backbone.match("Novus taxon")) == "Novus taxon"
        assert name_of(backbone.match("Parus major")) == NOT_THERE
    assert len(read) == 2


def test_a_damaged_cache_is_made_again(tmp_path: Path) -> None:
    source = checklists.darwin_core(tmp_path / "dwca")
    Backbone.open(source, tmp_path).close()
    (tmp_path / "backbone.db").write_bytes(b"no database at all" * 100)
    with Backbone.open(source, tmp_path) as backbone:
        assert name_of(backbone.match("Parus major")) == "Parus major"


def test_without_a_source_it_has_the_species_of_the_program(tmp_path: Path) -> None:
    with Backbone.open(None, tmp_path) as backbone:
        match = backbone.match("Parus major Linnaeus, 1758")
        assert match.taxon is not None
        assert match.ranks["family"] == "Paridae"
        assert match.taxon.common_names["de"] == "Kohlmeise"


SPECIES_TABLES = {
    "ours.csv": "scientific_name,common_name,kingdom,phylum,class,order,family,genus,synonyms,common_name_de\n"
    "Parus major,Great Tit,Animalia,Chordata,Aves,Passeriformes,Paridae,Parus,Parus fringillago|Parus x,Kohlmeise\n",
    "labels.csv": "label_index,scientific_name,common_name,class,kind\n0,Parus major,Great Tit,Aves,species\n"
    "1,Siren,Siren,,noise\n",
    "ebird.csv": "SCIENTIFIC_NAME,COMMON_NAME,SPECIES_CODE,CATEGORY,ORDER,FAMILY_SCI_NAME\n"
    "Parus major,Great Tit,gretit1,species,Passeriformes,Paridae\n"
    "Parus major [major Group],Great Tit (Great),gretit2,issf,Passeriformes,Paridae\n"
    "Parus major/minor,Great/Japanese Tit,y1,slash,Passeriformes,Paridae\n",
    "clements.csv": "TAXON_ORDER,CATEGORY,SPECIES_CODE,PRIMARY_COM_NAME,SCI_NAME,ORDER,FAMILY\n"
    "1,species,gretit1,Great Tit,Parus major,Passeriformes,Paridae (Tits)\n",
    "clements.tsv": "sort v2024\tspecies_code\tcategory\tEnglish name\tscientific name\torder\tfamily\n"
    "1\tgretit1\tspecies\tGreat Tit\tParus major\tPasseriformes\tParidae (Tits, Chickadees)\n",
    "excel.csv": "scientific_name;common_name;class;family\nParus major;Great Tit;Aves;Paridae\n",
    "codes.json": json.dumps(
        {
            "gretit1": {"common_name": "Great Tit", "sci_name": "Parus major"},
            "gretit3": {"common_name": "Great Tit (s)", "sci_name": "Parus major newtoni"},
            "x00001": {"common_name": "hybrid", "sci_name": "Parus major x minor"},
        }
    ),
    "api.json": json.dumps(
        [{"sciName": "Parus major", "comName": "Great Tit", "speciesCode": "gretit1", "category": "species",
          "order": "Passeriformes", "familySciName": "Paridae", "taxonOrder": 1.0}]
    ),
}  # fmt: skip


@pytest.mark.parametrize("file", SPECIES_TABLES)
def test_species_lists_are_backbones(tmp_path: Path, file: str) -> None:
    (tmp_path / file).write_text(SPECIES_TABLES[file], encoding="utf-8-sig")
    with Backbone.open(tmp_path / file, tmp_path) as backbone:
        match = backbone.match("Parus major newtoni Pražák, 1894")
        assert match.taxon is not None
        assert (match.taxon.scientific_name, match.taxon.common_name) == ("Parus major", "Great Tit")
        assert match.ranks["class"] == "Aves"
        assert match.ranks["genus"] == "Parus"
        if file == "ours.csv":
            assert name_of(backbone.match("Parus fringillago")) == "Parus major"
            assert match.taxon.common_names["de"] == "Kohlmeise"
        if "Paridae" in SPECIES_TABLES[file]:
            assert match.ranks["family"] == "Paridae"


def test_a_list_may_be_unicode_text_of_a_spreadsheet(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text(SPECIES_TABLES["clements.tsv"], encoding="utf-16")
    with Backbone.open(tmp_path / "list.txt", tmp_path) as backbone:
        assert name_of(backbone.match("Parus major Linnaeus, 1758")) == "Parus major"


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("none.csv", None, "cannot be read"),
        ("none.zip", None, "cannot be read"),
        ("text.zip", b"<html>not found</html>", "cannot be read as an archive"),
        ("other.csv", b"a,b\n1,2\n", "no column scientific_name"),
        ("empty.csv", b"scientific_name\n", "has no species"),
        ("bytes.csv", b"scientific_name\n\xff\xfe\xfa\n", "cannot be read"),
        ("broken.json", b"{", "cannot be read"),
        ("numbers.json", b"[1, 2]", "is not a list of taxa"),
    ],
)
def test_what_is_no_backbone_is_one_line(tmp_path: Path, file: str, content: bytes | None, says: str) -> None:
    if content is not None:
        (tmp_path / file).write_bytes(content)
    with pytest.raises(CollectError, match=says) as raised:
        Backbone.open(tmp_path / file, tmp_path / "out")
    assert str(tmp_path / file) in raised.value.what
    assert not (tmp_path / "out" / "backbone.db").exists()


OCCURRENCES = {
    "meta.xml": checklists.meta("occurrence.txt", ["occurrenceID"]).replace("terms/Taxon", "terms/Occurrence"),
    "occurrence.txt": "1\n",
}


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"meta.xml": "<archive"}, "meta.xml cannot be read"),
        ({"meta.xml": checklists.meta("Gone.tsv", checklists.GBIF_COLUMNS)}, "Gone.tsv is missing"),
        (OCCURRENCES, "no table of taxa"),
        ({"readme.txt": "nothing"}, "has neither meta.xml nor NameUsage.tsv"),
    ],
)
def test_a_broken_archive_is_one_line(tmp_path: Path, files: dict[str, str], says: str) -> None:
    with pytest.raises(CollectError, match=says):
        Backbone.open(checklists.written(tmp_path / "archive", files), tmp_path / "out")


def test_gbifs_table_is_read_without_its_description(tmp_path: Path) -> None:
    files = {"backbone/Taxon.tsv": checklists.tabbed(checklists.GBIF_COLUMNS, checklists.TAXA)}
    with Backbone.open(checklists.written(tmp_path / "b.zip", files), tmp_path / "out") as backbone:
        assert name_of(backbone.match("Parus fringillago")) == "Parus major"


def table_of(path: Path, *rows: str) -> Path:
    path.write_text("\n".join(["scientific_name,kingdom,phylum,class,order,family,genus", *rows]) + "\n")
    return path


def test_classes_that_others_divide_are_no_contradiction(tmp_path: Path) -> None:
    rows = [
        "Lacerta agilis,Animalia,Chordata,Squamata,,Lacertidae,Lacerta",
        "Aus fossilis,Animalia,Chordata,Reptilia,,,Aus",
        "Esox lucius,Animalia,Chordata,Teleostei,,Esocidae,Esox",
        "Parus major,Animalia,Chordata,Aves,,Paridae,Parus",
    ]
    with Backbone.open(table_of(tmp_path / "taxa.csv", *rows), tmp_path / "set") as backbone:
        assert name_of(backbone.match("Lacerta agilis", {"class": "Reptilia"})) == "Lacerta agilis"
        assert name_of(backbone.match("Esox lucius", {"class": "Actinopterygii"})) == "Esox lucius"
        assert name_of(backbone.match("Parus major", {"class": "Reptilia"})) == ANOTHER
        assert name_of(backbone.match("Lacerta agilis", {"class": "Aves"})) == ANOTHER


def test_a_kingdom_that_the_backbone_has_not_is_another_one_too(tmp_path: Path) -> None:
    birds = table_of(tmp_path / "taxa.csv", "Parus major,Animalia,Chordata,Aves,,Paridae,Parus")
    with Backbone.open(birds, tmp_path / "set") as backbone:
        assert name_of(backbone.match("Parus major", {"kingdom": "Fungi"})) == ANOTHER
        for kingdom in ("Metazoa", "Animalia", "Eukaryota", "incertae sedis"):
            assert name_of(backbone.match("Parus major", {"kingdom": kingdom})) == "Parus major"


def test_it_says_which_taxa_it_has(backbone: Backbone) -> None:
    assert all(map(backbone.has, ("Animalia", "aves", "Paridae", "Parus", "Parus major", "parus  MAJOR")))
    assert not any(map(backbone.has, ("", "Par", "Avez", "Parus majo", "%")))
