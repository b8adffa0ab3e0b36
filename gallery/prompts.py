"""The five text forms of a taxon that the text encoder is trained on and asked with."""

from __future__ import annotations

from gallery.errors import TaxonError
from gallery.taxon import Taxon

PROMPT_FORMS = ("common", "scientific", "taxonomic", "scientific_common", "taxonomic_common")

_TAXONOMIC_RANKS = ("class", "order", "family", "genus", "species")  # the released training code leaves out the rest


def prompt(taxon: Taxon, form: str) -> str:
    """One text form of a taxon, worded as BioVITA's training code words it.

    Parameters
    ----------
    taxon : Taxon
        A taxon without an English name is called by its scientific name; unknown ranks are left out.
    form : str
        One of `PROMPT_FORMS`.

    Raises
    ------
    TaxonError
        `form` is none of `PROMPT_FORMS`.

    Examples
    --------
    taxonomic_common: ``"Aves Passeriformes Paridae Parus Parus major with common name Great Tit"``
    """
    common = taxon.common_name or taxon.scientific_name
    taxonomic = " ".join(name for name in map(taxon.at, _TAXONOMIC_RANKS) if name)
    if form == "common":
        return common
    if form == "scientific":
        return taxon.scientific_name
    if form == "taxonomic":
        return taxonomic
    if form == "scientific_common":
        return f"{taxon.scientific_name} with common name {common}"
    if form == "taxonomic_common":
        return f"{taxonomic} with common name {common}"
    raise TaxonError(f"'{form}' is not a prompt form", f"use one of {', '.join(PROMPT_FORMS)}")


def prompts(taxon: Taxon) -> dict[str, str]:
    """All five text forms of a taxon, by the name of the form, in the order of `PROMPT_FORMS`."""
    return {form: prompt(taxon, form) for form in PROMPT_FORMS}
