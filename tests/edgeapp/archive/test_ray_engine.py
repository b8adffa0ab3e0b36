"""Workers of Ray: what it asks in the network, and a run whose own machine is lost."""

from __future__ import annotations

import os
import urllib.request
from types import SimpleNamespace

import pytest

from edgeapp.archive.ray_engine import NOWHERE, RayWorkers, asking_nobody
from edgeapp.archive.recognition import Recognition
from edgeapp.errors import DeviceError
from tests.edgeapp.archive.test_parts import some_record
from tests.libraries import needs

pytestmark = needs("ray")


def test_what_ray_starts_asks_nobody_by_http(monkeypatch):
    monkeypatch.setenv("http_proxy", "http://proxy.example:3128")
    monkeypatch.delenv("HTTP_PROXY", raising=False)
    with asking_nobody():
        assert urllib.request.getproxies()["http"] == NOWHERE and "http_proxy" not in os.environ
        with pytest.raises(OSError):
            # An opener of its own: that of the module would keep the proxy.
            urllib.request.build_opener().open("http://192.0.2.1/latest/meta-data/", timeout=5)
    assert os.environ["http_proxy"] == "http://proxy.example:3128" and "HTTP_PROXY" not in os.environ


@pytest.mark.parametrize("lost", [False, True])
def test_a_run_whose_own_node_is_lost_ends(monkeypatch, toy_pack, lost):
    """No answer would come any more: Ray brings them over that node."""
    workers = RayWorkers(Recognition(toy_pack), some_record(), "auto")
    nodes = [{"NodeID": "own", "Alive": not lost}, {"NodeID": "other", "Alive": True}]
    monkeypatch.setattr(workers, "_ray", SimpleNamespace(nodes=lambda: nodes))
    monkeypatch.setattr(workers, "_node", "own")
    if not lost:
        workers._check_node()
        return
    with pytest.raises(DeviceError, match="own part of the cluster is gone; .*same command again"):
        workers._check_node()
