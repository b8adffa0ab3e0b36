"""Notifications go through Apprise to a real server, once, and what fails waits in the queue."""

from __future__ import annotations

import io
import sys
from base64 import b64decode
from datetime import timezone
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image

from edgeapp.delivery.attachment import Attachment, photo_of_species, spectrogram_of_clip
from edgeapp.delivery.notify import NotifyTarget, never_before
from edgeapp.delivery.outbox import Outbox
from edgeapp.delivery.rules import Rules, Told
from edgeapp.delivery.target import NotSent
from edgeapp.delivery.template import examples
from edgeapp.errors import UsageError
from gallery import Entry, Gallery
from gallery.entry import Thumbnail
from gallery.utc import utc_text
from tests.edgeapp import toy_pack as toy
from tests.edgeapp.delivery.message_stores import MemoryStore, SteppedClock
from tests.edgeapp.delivery.test_webhook import Hook, hook
from tests.libraries import needs

__all__ = ["hook"]

pytestmark = needs("apprise")


def target_of(*urls: str, rules: Rules | None = None, told: Told | None = None, **more: Any) -> NotifyTarget:
    return NotifyTarget(urls, rules or Rules(), SteppedClock(), told, never_before, timezone.utc, **more)


def url_of(hook: Hook) -> str:
    return f"json://{hook.address}/secret-path"


def message(clock: SteppedClock | None = None, id: str = "1") -> dict:
    moment = (clock or SteppedClock()).now().utc
    return examples()[0] | {"id": id, "time": utc_text(moment), "updated": False, "review": None}


def test_a_detection_is_told_with_its_title_and_text(hook):
    target_of(url_of(hook)).send(message())
    [(_, got)] = hook.got
    assert got["title"] == "Great Tit (93 %)"
    assert got["message"].startswith("Parus major at ") and got["message"].endswith(", garden, USB")


def test_templates_make_title_and_text(hook):
    target_of(url_of(hook), title="{{ taxon.scientific_name }}!", body="{{ end_s - start_s }} s").send(message())
    [(_, got)] = hook.got
    assert (got["title"], got["message"]) == ("Parus major!", "10.0 s")


def test_what_no_rule_wants_leaves_the_queue_untold(hook):
    store = MemoryStore()
    store.queue("notify", message())
    Outbox(store, {"notify": target_of(url_of(hook), rules=Rules(min_confidence=0.99))}, SteppedClock()).turn("notify")
    assert (hook.got, store.queue_length()) == ([], 0)


def test_what_fails_waits_and_is_told_once_to_those_who_had_it_not(hook):
    with Hook().serving() as other:
        target, clock, store = target_of(url_of(hook), url_of(other)), SteppedClock(), MemoryStore()
        store.queue("notify", message())
        other.answers = [(500, {})]
        outbox = Outbox(store, {"notify": target}, clock)
        clock.pass_time(outbox.turn("notify"))
        assert (len(hook.got), len(other.got), store.queue_length()) == (1, 0, 1)
        outbox.turn("notify")
        assert (len(hook.got), len(other.got), store.queue_length()) == (1, 1, 0)


def test_a_species_that_was_told_pauses(hook, tmp_path):
    target = target_of(url_of(hook), rules=Rules(cool_down_s=60.0), told=Told(tmp_path / "told.json"))
    for number in range(3):
        target.send(message(id=str(number)))
    assert len(hook.got) == 1


def test_no_secret_is_in_an_error_or_a_log(hook, caplog, capfd):
    hook.answers = [(403, {})]
    with pytest.raises(NotSent) as error:
        target_of(url_of(hook)).send(message())
    assert "JSON did not take a notification" in str(error.value)
    assert "secret-path" not in str(error.value) + caplog.text
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("url", ["tok3n", "nonsense://tok3n", "mailto://"])
def test_a_url_that_apprise_does_not_know_is_refused_unseen(url):
    with pytest.raises(UsageError, match="URL 1 of notify.url is not one of Apprise") as error:
        target_of(url)
    assert "tok3n" not in str(error.value)


def test_without_apprise_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(UsageError, match="notifications need Apprise") as error:
        target_of("json://localhost")
    assert "biovita-edge[notify]" in error.value.remedy


# pictures


def shown(name: str = "tit.jpg", credit: str = "Photo: Ann, CC0-1.0") -> Attachment:
    return Attachment(name, b"a picture", credit)


def test_a_picture_goes_along_with_its_credits(hook):
    target_of(url_of(hook), attach=lambda document: shown()).send(message())
    [(_, got)] = hook.got
    [attached] = got["attachments"]
    assert (attached["filename"], b64decode(attached["base64"])) == ("tit.jpg", b"a picture")
    assert got["message"].endswith("\nPhoto: Ann, CC0-1.0")


def test_a_notification_without_a_picture_is_told_all_the_same(hook):
    target_of(url_of(hook), attach=lambda document: None).send(message())
    [(_, got)] = hook.got
    assert not got["attachments"] and "Photo" not in got["message"]


def test_what_is_not_taken_with_a_picture_is_told_without(hook):
    target = target_of(url_of(hook), attach=lambda document: shown())
    hook.answers = [(413, {})]
    with pytest.raises(NotSent):
        target.send(message())
    target.send(message())
    assert not hook.got[-1][1]["attachments"]


def test_a_service_without_attachments_gets_the_text_alone(hook, monkeypatch):
    monkeypatch.setattr("apprise.plugins.custom_json.NotifyJSON.attachment_support", False)
    target_of(url_of(hook), attach=lambda document: shown()).send(message())
    [(_, got)] = hook.got
    assert "Photo" not in got["message"]


def jpeg(width: int) -> bytes:
    made = io.BytesIO()
    Image.new("RGB", (width, 3)).save(made, "JPEG")
    return made.getvalue()


def photo(label: str, licence: str, thumbnail: Thumbnail | None) -> Entry:
    vector, credit = np.eye(4, dtype="f4")[0], {"author": "Ann", "licence": licence, "source": "a garden"}
    return Entry("Parus major", "image", vector, label, thumbnail=thumbnail, **credit)


def test_a_photo_of_the_species_is_shown_and_none_of_a_relative(tmp_path):
    gallery = toy.make(tmp_path / "seen") / "gallery.sqlite"
    with Gallery.open(gallery, readonly=False) as opened:
        opened.add_entries(
            [photo("hidden.jpg", "", None), photo("shown.jpg", "CC BY 4.0", Thumbnail(jpeg(4), jpeg(8)))]
        )
    attach = photo_of_species(gallery)

    assert attach(message()) == Attachment("Parus_major.jpg", jpeg(8), "Photo: Ann, CC BY 4.0, a garden")
    relative = message()["taxon"] | {"scientific_name": "Parus minor"}
    assert attach(message() | {"taxon": relative}) is None


def test_a_gallery_that_cannot_be_read_costs_the_photo_alone(tmp_path):
    assert photo_of_species(tmp_path / "none.sqlite")(message()) is None


def test_the_spectrogram_of_the_clip_is_a_picture(tmp_path):
    soundfile.write(tmp_path / "tit.flac", np.random.default_rng(0).normal(0, 0.1, 48_000), 48_000)
    (tmp_path / "torn.flac").write_bytes(b"no sound")
    attach = spectrogram_of_clip(lambda path: tmp_path / path)

    made = attach(message() | {"clip": "tit.flac"})
    assert made is not None and made.name == "tit.png"
    with Image.open(io.BytesIO(made.content)) as picture:
        assert (picture.format, picture.height) == ("PNG", 160)
    assert [attach(message() | {"clip": clip}) for clip in (None, "deleted.flac", "torn.flac")] == [None] * 3
