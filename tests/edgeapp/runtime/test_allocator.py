"""Freed memory goes back to the system, unless somebody has settings of their own."""

from __future__ import annotations

import platform

import pytest

from edgeapp.runtime.allocator import OWN, give_memory_back

glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library than glibc")


@glibc
def test_it_is_set_with_glibc():
    assert give_memory_back({})


@pytest.mark.parametrize("name", OWN)
def test_settings_of_ones_own_are_left_alone(name):
    assert not give_memory_back({name: "1"})


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr("ctypes.CDLL", lambda name: object())
    assert not give_memory_back({})
