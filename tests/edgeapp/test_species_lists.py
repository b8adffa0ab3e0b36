"""What entries a list of species has, and in which lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeapp.species_lists import listed


@pytest.mark.parametrize(
    ("text", "entries"),
    [
        ("Parus_major\n\nParidae_Tits\nDog_Dog\n", [(1, "Parus major"), (3, "Paridae"), (4, "Dog")]),
        ("# mine\nname;Scientific name\n\nTit;Parus major\n;\n", [(4, "Parus major")]),
        ('n,scientific_name\n"a\nb",Parus major\n', [(3, "Parus major")]),
    ],
)
def test_entries_have_the_lines_that_they_end_in(text: str, entries: list[tuple[int, str]], tmp_path: Path) -> None:
    (tmp_path / "list").write_text(text, encoding="utf-8")
    assert listed(tmp_path / "list") == entries
