"""Taxa, prompts, vectors, search and decisions: everything that needs no model.

A gallery is one SQLite file of taxa and their vectors; the encoders that make the vectors are in packs.
"""

from gallery.candidates import Candidate, likeliest, ranked
from gallery.entry import (
    MODALITIES,
    NOT_ADULT,
    Added,
    Counterexample,
    EncoderIdentity,
    Entry,
    Rejection,
    Thumbnail,
    shows_adult,
)
from gallery.errors import BiovitaError, GalleryError, TaxonError
from gallery.parameters import DecisionParameters
from gallery.pictures import Picture
from gallery.pooling import Pool, pooled
from gallery.prompts import PROMPT_FORMS, prompt, prompts
from gallery.recognition import Detection, Recognition, loud, recognise
from gallery.reviewed import Reviewed
from gallery.search import Index
from gallery.store import Gallery, build
from gallery.taxon import RANKS, Names, Taxon, find, read_taxa, starter_taxa
from gallery.vocabulary import Vocabulary

__all__ = [
    "MODALITIES",
    "NOT_ADULT",
    "PROMPT_FORMS",
    "RANKS",
    "Added",
    "BiovitaError",
    "Candidate",
    "Counterexample",
    "DecisionParameters",
    "Detection",
    "EncoderIdentity",
    "Entry",
    "Gallery",
    "GalleryError",
    "Index",
    "Names",
    "Picture",
    "Pool",
    "Recognition",
    "Rejection",
    "Reviewed",
    "Taxon",
    "TaxonError",
    "Thumbnail",
    "Vocabulary",
    "build",
    "find",
    "likeliest",
    "loud",
    "pooled",
    "prompt",
    "prompts",
    "ranked",
    "read_taxa",
    "recognise",
    "shows_adult",
    "starter_taxa",
]
