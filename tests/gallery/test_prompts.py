import pytest

from gallery import PROMPT_FORMS, Taxon, TaxonError, prompt, prompts


def test_the_five_forms_are_worded_as_in_the_training_code(taxa: list[Taxon]):
    assert prompts(taxa[0]) == {
        "common": "Great Tit",
        "scientific": "Parus major",
        "taxonomic": "Aves Passeriformes Paridae Parus Parus major",
        "scientific_common": "Parus major with common name Great Tit",
        "taxonomic_common": "Aves Passeriformes Paridae Parus Parus major with common name Great Tit",
    }
    assert tuple(prompts(taxa[0])) == PROMPT_FORMS


def test_a_taxon_without_common_name_is_called_by_its_scientific_name():
    bare = Taxon("Parus ater", "", "", "", "", "", "Parus", {"de": "Tannenmeise"})
    assert prompt(bare, "common") == "Parus ater"
    assert prompt(bare, "scientific_common") == "Parus ater with common name Parus ater"


def test_unknown_ranks_leave_no_gap(taxa: list[Taxon]):
    assert prompt(taxa[5], "taxonomic") == "Cypriniformes Cyprinidae Carassius Carassius auratus"


def test_an_unknown_form_is_refused_with_the_known_ones(taxa: list[Taxon]):
    with pytest.raises(TaxonError, match="use one of common, scientific"):
        prompt(taxa[0], "latin")
