"""Which licences a collection takes."""

from __future__ import annotations

import pytest

from edgeapp.collect.defaults import LICENCES
from edgeapp.collect.licences import Terms
from edgeapp.errors import UsageError

NAMES = (
    *("CC0-1.0", "PDM-1.0", "public-domain", "CC-BY", "CC-BY-4.0", "CC-BY-SA-3.0-DE"),
    *("CC-BY-NC-4.0", "CC-BY-NC-SA-4.0", "CC-BY-NC-ND", "CC-BY-ND-4.0", "all-rights-reserved", "unknown"),
)


def taken(text: str) -> list[str]:
    terms = Terms.of(text)
    return [name for name in NAMES if terms.allows(name)]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("CC0|CC BY*", ["CC0-1.0", "CC-BY", "CC-BY-4.0", "CC-BY-SA-3.0-DE"]),
        ("cc0, cc-by", ["CC0-1.0", "CC-BY", "CC-BY-4.0"]),
        ("CC_BY 4.0", ["CC-BY-4.0"]),
        ("CC-BY-4*", ["CC-BY-4.0"]),
        ("CC BY-SA 3.0 DE", ["CC-BY-SA-3.0-DE"]),
        ("CC BY-NC*", ["CC-BY-NC-4.0", "CC-BY-NC-SA-4.0"]),
        ("CC BY-NC-ND", ["CC-BY-NC-ND"]),
        ("CC BY-ND", ["CC-BY-ND-4.0"]),
        ("public domain|PDM", ["PDM-1.0", "public-domain"]),
        (LICENCES, ["CC0-1.0", "PDM-1.0", "public-domain", "CC-BY", "CC-BY-4.0", "CC-BY-SA-3.0-DE"]),
        ("*", list(NAMES)),
    ],
)
def test_a_pattern_takes_the_licences_it_names(text: str, names: list[str]) -> None:
    assert taken(text) == names


def test_what_is_not_taken_says_why() -> None:
    terms = Terms.of("CC0|CC BY*")
    assert terms.objection("CC-BY-4.0") == ""
    assert (
        terms.objection("CC-BY-NC-4.0") == "licence CC-BY-NC-4.0: no commercial use, which --licence does not ask for"
    )
    assert "no commercial use and no derivatives" in terms.objection("CC-BY-NC-ND")
    assert terms.objection("unknown") == "licence unknown: not among CC0|CC BY*"


@pytest.mark.parametrize("text", ["", " | ", "GPL", "CC0|CC BZ", "CC BY 7.0"])
def test_a_pattern_that_no_licence_can_have_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="licence"):
        Terms.of(text)
