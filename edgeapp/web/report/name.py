"""A taxon as a report names it."""

from __future__ import annotations

from dataclasses import dataclass

SPECIES = "species"


@dataclass(frozen=True)
class Name:
    """A taxon as it is shown.

    Attributes
    ----------
    taxon_rank, scientific_name : str
    common_name : str
        Of a species; empty where there is none, and above the species.
    """

    taxon_rank: str
    scientific_name: str
    common_name: str = ""

    @property
    def shown(self) -> str:
        """The common name, or the scientific one with its rank above the species."""
        if self.taxon_rank != SPECIES:
            return f"{self.scientific_name} ({self.taxon_rank})"
        return self.common_name or self.scientific_name

    @property
    def second(self) -> str:
        """The scientific name where `shown` is another."""
        return self.scientific_name if self.shown == self.common_name != self.scientific_name else ""
