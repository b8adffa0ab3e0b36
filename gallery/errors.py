"""Errors a person can cause, each with what to do about it."""

from __future__ import annotations


class BiovitaError(Exception):
    """Base of every error that a person can cause, in every package of the project.

    Parameters
    ----------
    what : str
        What is wrong and where: the file, the line, the name.
    remedy : str
        What to do about it. ``str(error)`` is both in one line.

    Attributes
    ----------
    exit_code : int
        Exit status of a command that ends with this error.
    """

    exit_code: int = 2

    def __init__(self, what: str, remedy: str = "") -> None:
        # Both are arguments of Exception, so that the error survives pickling between worker processes.
        super().__init__(what, remedy)
        self.what = what
        self.remedy = remedy

    def remedy_or(self, other: str) -> str:
        """Its remedy, and behind it another one."""
        if not self.remedy or self.remedy.endswith("?"):
            return f"{self.remedy} {other[:1].upper()}{other[1:]}" if self.remedy else other
        return f"{self.remedy}; {other}"

    def __str__(self) -> str:
        text = f"{self.what}; {self.remedy}" if self.remedy else self.what
        return " ".join(text.split())


class GalleryError(BiovitaError):
    """A gallery that is missing, damaged, made by other encoders, or not usable as asked."""

    exit_code = 3


class TaxonError(BiovitaError):
    """A defective species table, or an unknown or ambiguous name."""


class UnknownNameError(TaxonError):
    """An unknown name."""


def reason_of(error: BaseException) -> str:
    """What the system or a library says went wrong, without the path; the kind of error where it says nothing."""
    return str(getattr(error, "strerror", None) or error) or type(error).__name__
