"""Taxa, prompts, vectors, search and decisions: everything about species that needs no model.

A gallery is one SQLite file of taxa and their vectors; the encoders that make the vectors are somebody else's.
"""

from gallery.decision import (
    Decision,
    DecisionParameters,
    Pool,
    RankedSpecies,
    decide,
    logits,
    pool,
    probabilities,
    ranked,
    similarity,
)
from gallery.entry import KINDS, NOT_ADULT, Added, EncoderIdentity, Entry, Rejection, shows_adult
from gallery.errors import BiovitaError, GalleryError, TaxonError
from gallery.prompts import PROMPT_FORMS, prompt, prompts
from gallery.search import Index, Neighbour, Similarities
from gallery.store import Gallery, build
from gallery.taxon import RANKS, Names, Taxon, find, read_taxa, starter_taxa

__all__ = [
    "KINDS",
    "NOT_ADULT",
    "PROMPT_FORMS",
    "RANKS",
    "Added",
    "BiovitaError",
    "Decision",
    "DecisionParameters",
    "EncoderIdentity",
    "Entry",
    "Gallery",
    "GalleryError",
    "Index",
    "Names",
    "Neighbour",
    "Pool",
    "RankedSpecies",
    "Rejection",
    "Similarities",
    "Taxon",
    "TaxonError",
    "build",
    "decide",
    "find",
    "logits",
    "pool",
    "probabilities",
    "prompt",
    "prompts",
    "ranked",
    "read_taxa",
    "shows_adult",
    "similarity",
    "starter_taxa",
]
