"""Asking sources once, and going on where they were cut."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import pytest

from edgeapp.collect.catalogue import Catalogue
from edgeapp.collect.client import FetchError
from edgeapp.collect.gather import gather
from edgeapp.collect.medium import Medium, Page

MEDIUM = Medium("counting", "", "", "audio", "u", "Parus major")


@dataclass
class Counting:
    """A source of queries with pages of one medium each; what it was asked for, and where it fails."""

    counts: dict[str, int]
    fails_at: set[tuple[str, int]] = field(default_factory=set)
    asked: list[tuple[str, str]] = field(default_factory=list)
    lasting: bool = False
    said: str = ""
    name: str = "counting"

    def queries(self) -> list[str]:
        return list(self.counts)

    def pages(self, query: str, begin: str = "") -> Iterator[Page]:
        self.asked.append((query, begin))
        for n in range(int(begin or 0), self.counts[query]):
            if (query, n) in self.fails_at:
                raise FetchError(self.said or f"{query} {n}: no answer", lasting=self.lasting)
            yield Page([replace(MEDIUM, id=f"{query}{n}")], "" if n + 1 == self.counts[query] else str(n + 1))


@pytest.fixture
def catalogue(tmp_path) -> Iterator[Catalogue]:
    with Catalogue.open(tmp_path) as opened:
        yield opened


def test_what_was_asked_to_its_end_is_not_asked_again(catalogue):
    source = Counting({"a": 2, "b": 1})
    first, second = gather(catalogue, source), gather(catalogue, source)
    assert (first.new, first.queries, first.known) == (3, 2, 0)
    assert (second.new, second.queries, second.known) == (0, 0, 2)
    assert gather(catalogue, source, again=True).queries == 2


def test_a_cut_query_goes_on_after_its_last_whole_page(catalogue):
    source = Counting({"a": 5}, {("a", 3)})
    failed = gather(catalogue, source)
    assert (failed.new, [str(error) for error in failed.errors]) == (3, ["a 3: no answer"])
    source.fails_at.clear()
    assert gather(catalogue, source).new == 2
    assert source.asked == [("a", ""), ("a", "3")]


def test_a_query_that_fails_does_not_end_the_others(catalogue):
    found = gather(catalogue, Counting({"a": 1, "b": 1, "c": 1}, {("b", 0)}))
    assert (found.new, len(found.errors)) == (2, 1)


def test_a_source_that_does_not_answer_is_left_alone(catalogue):
    queries = {f"q{n}": 1 for n in range(10)}
    source = Counting(queries, {(query, 0) for query in queries})
    found = gather(catalogue, source)
    assert len(source.asked) == 3
    assert str(found.errors[-1]) == "counting: its other queries are left for the next run; repeat the command"


def test_queries_that_are_wrong_by_themselves_do_not_end_a_source(catalogue):
    queries = {f"q{n}": 1 for n in range(10)}
    source = Counting(queries, {(query, 0) for query in queries}, lasting=True)
    assert len(gather(catalogue, source).errors) == 10


def test_a_refusal_that_is_the_same_for_every_query_ends_a_source(catalogue):
    queries = {f"q{n}": 1 for n in range(10)}
    source = Counting(queries, {(query, 0) for query in queries}, lasting=True, said="the key is not valid")
    gather(catalogue, source)
    assert len(source.asked) == 3


def test_a_query_with_enough_is_left_until_more_is_wanted(catalogue):
    source = Counting({"a": 9, "b": 1})
    assert gather(catalogue, source, enough=3).new == 4
    again = gather(catalogue, source, enough=2)
    assert (again.new, again.known) == (0, 2)
    assert gather(catalogue, source, enough=5).new == 2
    assert gather(catalogue, source).new == 4
    assert source.asked == [("a", ""), ("b", ""), ("a", "3"), ("a", "5")]


def test_a_page_of_many_species_is_taken_whole(catalogue):
    class Batch(Counting):
        def pages(self, query: str, begin: str = "") -> Iterator[Page]:
            yield Page([replace(MEDIUM, id=f"{query}{n}") for n in range(50)])

    assert gather(catalogue, Batch({"a": 50}), enough=10).new == 50
