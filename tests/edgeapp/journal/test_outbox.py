"""Messages wait in the journal until they are sent or given up."""

from __future__ import annotations

from datetime import timedelta

import pytest

from edgeapp.journal import Journal, JournalError, Message
from tests.edgeapp.journal.samples import DAWN, rows

LATER = DAWN.utc + timedelta(days=1)


@pytest.fixture
def queued(journal) -> list[int]:
    return journal.queue([Message("mqtt", {"species": f"Kuckuck ♂ {number}"}) for number in range(3)])


def test_messages_are_due_oldest_first_until_they_are_sent(journal, queued):
    first, second = journal.due(0.0, limit=2)
    assert (first.id, first.target, first.kind) == (queued[0], "mqtt", "given")
    assert journal.composed(first.id).payload == {"species": "Kuckuck ♂ 0"}
    assert second.id == queued[1] and first.created_utc.endswith("Z") and first.attempts == 0

    journal.sent(first.id, DAWN)

    assert [message.id for message in journal.due(0.0)] == queued[1:]
    assert journal.queue_length() == 2
    assert rows(journal.path, "SELECT sent_utc FROM messages WHERE id = 1") == [("2025-05-01T04:12:09.250Z",)]


def test_a_message_that_failed_waits_for_its_next_try(journal, queued):
    journal.failed(queued[0], "connection refused", next_try_s=1000.0)
    journal.failed(queued[0], "no route to host", next_try_s=2000.0)

    assert [message.id for message in journal.due(1999.0)] == queued[1:]
    assert [(message.id, message.attempts) for message in journal.due(2000.0)][0] == (queued[0], 2)
    assert rows(journal.path, "SELECT last_error FROM messages WHERE id = 1") == [("no route to host",)]
    assert journal.queue_length() == 3


def test_a_message_that_is_given_up_says_why(journal, queued):
    journal.drop_message(queued[1], "refused by the broker", DAWN)
    journal.sent(queued[1], DAWN)  # too late to change it

    assert [message.id for message in journal.due(0.0)] == [queued[0], queued[2]]
    assert rows(journal.path, "SELECT last_error, sent_utc FROM messages WHERE dropped_utc IS NOT NULL") == [
        ("refused by the broker", None)
    ]


def test_messages_survive_a_restart(journal, queued):
    journal.close()

    with Journal.open(journal.path) as again:
        assert [message.id for message in again.due(0.0)] == queued


def test_only_what_was_sent_or_dropped_long_ago_can_be_forgotten(journal, queued):
    journal.sent(queued[0], DAWN)
    journal.drop_message(queued[1], "too old", DAWN)

    assert journal.forget_messages(DAWN) == 0
    assert journal.forget_messages(LATER) == 2
    assert [message.id for message in journal.due(0.0)] == queued[2:]
    assert journal.queue([Message("mqtt", {})])[0] > queued[2]  # a number never comes again


def test_all_messages_are_queued_or_none(journal):
    with pytest.raises(ValueError):
        journal.queue([Message("mqtt", {}), Message("mqtt", {"level": float("inf")})])
    assert journal.queue_length() == 0


def test_a_closed_journal_refuses_in_one_line(journal):
    journal.close()

    with pytest.raises(JournalError, match="closed"):
        journal.queue([Message("mqtt", {})])


def test_whoever_sends_is_called_once_when_messages_are_committed(journal):
    waiting: list[int] = []
    journal.on_queued = lambda: waiting.append(journal.queue_length())
    journal.queue([Message("mqtt", {"n": 1}), Message("webhook", {"n": 1})])
    assert waiting == [2]
    journal.sent(1, DAWN)
    assert waiting == [2]


def test_whoever_sends_is_not_called_for_messages_that_were_not_committed(journal):
    called: list[str] = []
    journal.on_queued = lambda: called.append("called")
    with pytest.raises(ValueError, match="not JSON compliant"):
        journal.queue([Message("mqtt", {"n": 1}), Message("mqtt", {"n": float("nan")})])
    assert called == [] and journal.queue_length() == 0
    journal.queue([])
    assert called == []
