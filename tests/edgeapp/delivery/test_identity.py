"""Names of stations in any writing are told apart, and are the same after every start."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import unicodedata
from itertools import combinations
from pathlib import Path

import pytest

from edgeapp.delivery import identity
from edgeapp.delivery.addresses import check_topic
from edgeapp.delivery.home_assistant import Topics, device_config
from edgeapp.delivery.identity import client_id, node_id, topic_level

WRITINGS = ("庭", "森", "Gärten", "Gårten", "🐦", "🦉", "🐦 1", "🦉 1", "बगीचा", "बगीची", "+", "garden", "", "سقف", "Ö")
PUNCTUATION = ("Garden", "GARDEN", "a-b", "a_b", "a b", "a.b", "a/b", "a  b", "_a_b", "a_b_", "ö", "gärten", "station")
NAMES = WRITINGS + PUNCTUATION
HERE = Path("/data/journal.sqlite")


def test_different_names_have_different_ids_and_topics():
    for one, other in combinations(NAMES, 2):
        assert node_id(one) != node_id(other), (one, other)
        assert topic_level(one) != topic_level(other), (one, other)


@pytest.mark.parametrize("name", NAMES)
def test_ids_are_such_as_home_assistant_and_brokers_take(name):
    assert re.fullmatch("[a-zA-Z0-9_-]{1,64}", node_id(name))
    assert re.fullmatch("[a-zA-Z0-9_-]{1,80}", client_id(name, HERE))
    check_topic(f"biovita/{topic_level(name)}/detections")
    assert "/" not in topic_level(name)


@pytest.mark.parametrize("name", ["garden", "my-pond", "a_b", "north-2", "raspberrypi", "7"])
def test_plain_names_stand_there_as_they_are(name):
    assert topic_level(name) == name and node_id(name) == f"biovita-edge-{name}"


def test_a_name_in_another_script_is_its_own_topic():
    assert (topic_level("gärten"), topic_level("庭")) == ("gärten", "庭")


@pytest.mark.parametrize(("name", "readable"), [("Garden #2 / South", "garden_2_south"), ("!", "station")])
def test_a_name_that_must_change_is_readable_and_hashed(name, readable):
    assert re.fullmatch(f"{readable}_[0-9a-f]{{8}}", topic_level(name))
    assert node_id(name) == f"biovita-edge-{topic_level(name)}"


def test_no_name_can_take_the_id_of_another():
    for name in ("Garden", "Gärten", "!"):
        taken = node_id(name).removeprefix("biovita-edge-")
        assert node_id(taken) != node_id(name) and topic_level(taken) != topic_level(name)


def test_no_sensor_of_a_station_is_one_of_another():
    told: list[str] = []
    for name in ("garden", "garden_microphone_1", "garden_microphone_2"):
        _, config = device_config(Topics("a/b"), node_id(name), name, "", ["left", "right"])
        told += [sensor["unique_id"] for sensor in config["components"].values()]
    assert len(set(told)) == len(told)


def test_one_name_in_two_encodings_is_one_station():
    for name in ("Gärten", "Ő", "庭"):
        assert node_id(unicodedata.normalize("NFD", name)) == node_id(name)
        assert topic_level(unicodedata.normalize("NFD", name)) == topic_level(name)


def test_ids_are_the_same_in_every_process():
    program = (
        f"from edgeapp.delivery.identity import *; import json; print(json.dumps([node_id(n) for n in {NAMES!r}]))"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert json.loads(told) == [node_id(name) for name in NAMES]


def test_stations_of_one_name_are_two_clients(monkeypatch):
    assert client_id("garden", HERE) == client_id("garden", HERE)
    assert client_id("garden", HERE) != client_id("garden", Path("/data/other.sqlite"))
    first = client_id("garden", HERE)
    monkeypatch.setattr(identity.uuid, "getnode", lambda: 0x0242AC110002)
    assert client_id("garden", HERE) != first, "as on another machine"
