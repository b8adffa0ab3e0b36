"""What a collection is told: lists of species."""

from __future__ import annotations

import csv

import pytest

from edgeapp.collect.plan import species_of
from edgeapp.errors import UsageError


@pytest.mark.parametrize(
    "text",
    [
        "Parus major\nStrix aluco  # at night\n",
        "Parus_major\nStrix_aluco\n",
        "Parus major_Great Tit\nStrix aluco_Tawny Owl\n",
        'common_name,scientific_name\nGreat Tit,Parus major\n"Owl, Tawny",Strix aluco\n',
        "common_name;scientific_name\nGreat Tit;Parus major\nOwl, Tawny;Strix aluco\n",
        "# from the ringing station\n\nscientific_name,n\nParus major,3\n#Pica pica,1\nStrix aluco,1\n",
        "Scientific Name,n\nParus major,3\nStrix aluco,1\n",
        '\ufeff"Parus major"\r\n"Strix aluco"\r\n',
        "common_name\tScientific_Name\nGreat Tit\tParus major\nOwl, Tawny\tStrix aluco\n",
    ],
)
def test_a_species_list_may_be_a_table_or_lines(text, tmp_path):
    (tmp_path / "list").write_text(text, encoding="utf-8", newline="")
    assert species_of(tmp_path / "list") == ("Parus major", "Strix aluco")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('scientific_name,n\n"Parus major,3\nStrix aluco,1\n', "is no table (unexpected end of data)"),
        ("x" * 200_000, "is no table (field larger than field limit (131072))"),
        ("# nothing\n\n", "has no name"),
    ],
    ids=["open", "long", "empty"],
)
def test_a_species_list_that_is_none_is_one_line(text, reason, tmp_path):
    (tmp_path / "list").write_text(text)
    most = csv.field_size_limit(131_072)  # Python's own, which readers of archives raise
    try:
        with pytest.raises(UsageError) as told:
            species_of(tmp_path / "list")
    finally:
        csv.field_size_limit(most)
    assert reason in str(told.value)
