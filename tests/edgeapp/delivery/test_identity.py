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
from edgeapp.delivery.identity import client_id, node_id, topic_level

NAMES = ("庭", "森", "Gärten", "Gårten", "🐦", "🦉", "🐦 1", "🦉 1", "बगीचा", "बगीची", "+", "garden", "", "سقف", "Ö")
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


def test_names_in_ascii_are_what_they_were():
    assert topic_level("Garden #2 / Süd") == "garden_2_süd"
    assert [node_id(name) for name in ("Garden #2", "my-pond")] == ["biovita-edge-garden_2", "biovita-edge-my-pond"]


def test_one_name_in_two_encodings_is_one_station():
    for name in ("Gärten", "Ő", "庭"):
        assert node_id(unicodedata.normalize("NFD", name)) == node_id(name)


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
