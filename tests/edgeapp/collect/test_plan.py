"""What a collection is told: lists of species."""

from __future__ import annotations

import pytest

from edgeapp.collect.plan import species_of


@pytest.mark.parametrize(
    "text",
    [
        "Parus major\nStrix aluco  # at night\n",
        "Parus_major\nStrix_aluco\n",
        "Parus major_Great Tit\nStrix aluco_Tawny Owl\n",
        'common_name,scientific_name\nGreat Tit,Parus major\n"Owl, Tawny",Strix aluco\n',
        "common_name;scientific_name\nGreat Tit;Parus major\nOwl, Tawny;Strix aluco\n",
        "common_name\tScientific_Name\nGreat Tit\tParus major\nOwl, Tawny\tStrix aluco\n",
    ],
)
def test_a_species_list_may_be_a_table_or_lines(text, tmp_path):
    (tmp_path / "list").write_text(text)
    assert species_of(tmp_path / "list") == ("Parus major", "Strix aluco")
