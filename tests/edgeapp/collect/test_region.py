"""Places and boxes of degrees, and the species whose ranges meet them."""

from __future__ import annotations

import pytest

from edgeapp.collect.region import Region
from edgeapp.detections.species_range import COLUMNS, met
from tests.edgeapp import toy_pack as toy


@pytest.mark.parametrize(
    ("text", "n", "longitudes"),
    [
        ("51.5,7", 1, {7.0}),
        ("-90,180", 1, {180.0}),
        ("47,178,48,-178", 10, {178.0, 179.0, 180.0, -179.0, -178.0}),
        ("-90,-180,-89,-179", 4, {-180.0, -179.0}),
        ("47,-180,47,180", 12, {-180.0 + 360.0 / 11 * n for n in range(12)}),
    ],
)
def test_places_stand_for_a_region(text, n, longitudes):
    places = Region.of(text).places
    assert len(places) == n and sorted({longitude for _, longitude in places}) == pytest.approx(sorted(longitudes))


@pytest.mark.parametrize(
    ("text", "meets"),
    [
        ("42,9", True),
        ("35,-10,70,40", True),  # the range lies between the places that stand for the box
        ("42,-10,42,40", True),
        ("44,-10,70,40", False),
        ("41,170,43,10", True),  # over 180 degrees, and most of the way round
        ("41,170,43,-170", False),
        ("41,170,43,8", False),
    ],
)
def test_a_range_of_any_size_meets_the_box_it_lies_in(text, meets, tmp_path):
    table = tmp_path / "ranges.csv"
    table.write_text(f"{','.join(COLUMNS)}\nParus major,41.4,43,8.5,9.6,,\nNobody knows,,,,,,\n")
    region = Region.of(text)
    assert met(table, toy.taxa(), region.latitude, region.longitude) == ({"Parus major"} if meets else set())
