"""The published tables of BioVITA."""

from __future__ import annotations

import pytest

from edgeapp.collect.medium import Medium
from edgeapp.collect.sources.biovita import BioVita
from edgeapp.collect.sources.kind import Setting
from edgeapp.errors import CollectError
from tests.edgeapp.collect.offers import media_of

SOUNDS = """file_name,download_url,source,recording_id,scientific_name,accepted_name,class,order,family,genus,com
,https://xeno-canto.org/7/download,xc,7,Parus major,Parus major,Aves,Passeriformes,Paridae,Parus,"Tit, Great"
,http://museum.example/8.mp3,asa,8,Old name,Hyla arborea,Amphibia,Anura,Hylidae,Hyla,
,,inat,9,Rana temporaria,Rana temporaria,Amphibia,Anura,Ranidae,Rana,
"""
PHOTOS = (
    "scientific_name,image_url\nParus major,https://photos.example/1.jpg\nHyla arborea,https://photos.example/2.jpg\n"
)


def test_recordings_and_photos_have_what_the_tables_say(tmp_path, told):
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "metadata.csv").write_text(SOUNDS)
    (tmp_path / "train" / "image_urls.csv").write_text(PHOTOS)
    first, second, photo, _ = media_of(BioVita(str(tmp_path), Setting(tell=told)))
    assert first == Medium(
        source="biovita",
        id="xc_7",
        observation="https://xeno-canto.org/7",
        modality="audio",
        url="https://xeno-canto.org/7/download",
        scientific_name="Parus major",
        ranks={"class": "Aves", "order": "Passeriformes", "family": "Paridae", "genus": "Parus"},
        common_name="Tit, Great",
        dataset="xc",
    )
    assert (second.scientific_name, second.id) == ("Hyla arborea", "asa_8")
    assert (photo.modality, photo.url, photo.scientific_name) == (
        "image",
        "https://photos.example/1.jpg",
        "Parus major",
    )
    assert told.lines == [f"{tmp_path / 'train' / 'metadata.csv'}: 1 rows have no address, and are left out"]


def test_one_of_the_tables_is_enough(tmp_path):
    (tmp_path / "image_urls.csv").write_text(PHOTOS)
    assert len(list(media_of(BioVita(str(tmp_path), Setting())))) == 2
    assert list(media_of(BioVita(str(tmp_path), Setting(modalities=("audio",))))) == []


def test_tables_of_another_kind_are_refused(tmp_path):
    with pytest.raises(CollectError, match="neither metadata.csv nor image_urls.csv"):
        BioVita(str(tmp_path), Setting())
    (tmp_path / "metadata.csv").write_text("a,b\n1,2\n")
    with pytest.raises(CollectError, match="no column accepted_name or .*; its columns are a, b"):
        BioVita(str(tmp_path), Setting())
