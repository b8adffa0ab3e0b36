"""Checklists that cannot be read are named, and their files are let go."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest

from edgeapp.collect.taxonomy.checklists import opened
from edgeapp.errors import CollectError

CORE = '<core rowType="http://rs.tdwg.org/dwc/terms/{}"><files><location>{}</location></files><id index="0"/></core>'


def held(path: Path) -> list[str]:
    """Descriptors of this process for a file."""
    links = []
    for descriptor in os.listdir("/proc/self/fd"):
        try:
            links.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        except OSError:
            continue  # that of the listing itself
    return [link for link in links if link == str(path)]


@pytest.mark.parametrize(
    ("inside", "said"),
    [
        ({"readme.txt": "nothing"}, "has neither meta.xml nor NameUsage.tsv"),
        ({"meta.xml": f"<archive>{CORE.format('Occurrence', 'o.txt')}</archive>"}, "describes no table of taxa"),
        ({"meta.xml": "<archive>"}, "its meta.xml cannot be read"),
    ],
    ids=["no table", "of occurrences", "broken description"],
)
def test_an_archive_that_is_refused_is_closed(inside, said, tmp_path):
    path = tmp_path / "checklist.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in inside.items():
            archive.writestr(name, text)
    with pytest.raises(CollectError, match=said) as refused:
        opened(path)
    assert refused.traceback and held(path) == []  # although the traceback keeps its frames


def test_a_table_that_cannot_be_unpacked_is_named(tmp_path):
    path = tmp_path / "checklist.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("NameUsage.tsv", "ID\tscientificName\n" * 100)
    content = bytearray(path.read_bytes())
    content[60:90] = bytes(30)
    path.write_bytes(content)
    with pytest.raises(CollectError, match="NameUsage.tsv cannot be read"):
        opened(path)
    assert held(path) == []
