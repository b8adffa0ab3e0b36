"""What the registry knows of a source, and what every source is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edgeapp.errors import UsageError
from edgeapp.terminal import complain

if TYPE_CHECKING:
    from edgeapp.collect.client import Client

MODALITIES = ("audio", "image")
PHOTO_SIZES = ("original", "large", "medium", "small")  # of iNaturalist: 2048, 1024, 500, 240 pixels


@dataclass(frozen=True)
class Kind:
    """A line of the registry.

    Attributes
    ----------
    name : str
        The option is ``--NAME``.
    metavar, help : str
    made_by : str
        ``module:class``, imported when it is used; called with what follows the option and a `Setting`.
    address : str
        Begin of the addresses that are asked, unless another is set; ``""`` for files.
    """

    name: str
    metavar: str
    help: str
    made_by: str
    address: str = ""


@dataclass(frozen=True)
class Setting:
    """What a source is told besides its query or file.

    Attributes
    ----------
    client : Client or None
        For sources that ask.
    modalities : tuple of str
        That are wanted.
    species : tuple of str
        Scientific names that are wanted; empty for all that the query or files have.
    groups : tuple of str
        Names of higher taxa that are wanted; empty for all. Files are narrowed by it, queries are not.
    addresses : mapping of str to str
        Source to the begin of its addresses, where it is not the public one.
    key : str
        Of Xeno-canto's API.
    photo_size : str
        Of `PHOTO_SIZES`.
    enough : int or None
        Media of a query that are wanted; None for all. Sources with pages ask for smaller ones by it.
    tell : callable
        Told remarks, one line each.
    """

    client: Client | None = None
    modalities: tuple[str, ...] = MODALITIES
    species: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    addresses: Mapping[str, str] = field(default_factory=dict)
    key: str = ""
    photo_size: str = "large"
    enough: int | None = None
    tell: Callable[[str], None] = complain

    def page(self, most: int) -> int:
        """Records of a page, where a source gives at most so many."""
        return most if self.enough is None else max(1, min(most, self.enough))

    def asking(self) -> Client:
        """The client of a source that asks.

        Raises
        ------
        UsageError
            There is none.
        """
        if self.client is None:
            raise UsageError("this source asks a server", "collect with a network")
        return self.client
