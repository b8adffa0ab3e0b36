"""Templates make the bodies and headers of a webhook; what cannot be made is told before anything is sent."""

from __future__ import annotations

import json

import pytest

from edgeapp.delivery.template import Template, examples
from edgeapp.delivery.webhook import WebhookTarget
from edgeapp.errors import UsageError
from tests.edgeapp.delivery.test_webhook import Hook, hook

__all__ = ["hook"]


def test_a_document_fills_its_template():
    full, sparse = examples()
    made = Template('{"text": {{ (taxon.common_name or taxon.scientific_name) | tojson }}}', "body", is_json=True)
    assert [json.loads(made.of(one))["text"] for one in (full, sparse)] == ["Great Tit", "Parus"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{{ taxon.common_name", "body, line 1:"),
        ("{{ species }}", "'species' is undefined"),
        ("{{ taxon.latin }}", "'dict object' has no attribute 'latin'"),
        ("{{ ''.__class__.__mro__ }}", "body: access to attribute '__class__'"),
        ("{{ candidates.append(1) }}", "body: access to"),
        ('{"name": {{ taxon.scientific_name }}}', "does not make JSON"),
        ("{% for n in range(100000000) %}x{% endfor %}", "body: Range too big"),
        ("{{ 1 / 0 }}", "division by zero"),
    ],
)
def test_what_cannot_be_made_is_told_when_it_is_read(text, told):
    with pytest.raises(UsageError) as error:
        Template(text, "body", is_json=True)
    assert told.lower() in error.value.what.lower() or "unsafe" in error.value.what


def test_body_and_headers_are_made_of_the_message(hook: Hook):
    headers = {"Title": "{{ taxon.common_name or taxon.scientific_name }} {{ (confidence * 100) | round | int }} %"}
    target = WebhookTarget(hook.url, headers, template='{"heard": {{ taxon | tojson }}}')
    target.send(examples()[0] | {"taxon": {"common_name": "Kohlmeise ♂", "scientific_name": "Parus major"}})
    [(got, body)] = hook.got
    assert got["Title"] == "Kohlmeise %E2%99%82 93 %"
    assert body == {"heard": {"common_name": "Kohlmeise ♂", "scientific_name": "Parus major"}}


def test_another_kind_of_body_need_not_be_json(hook: Hook):
    WebhookTarget(hook.url, {"content-type": "text/plain"}, template="{{ taxon.scientific_name }}")
    with pytest.raises(UsageError, match="does not make JSON"):
        WebhookTarget(hook.url, template="{{ taxon.scientific_name }}")


def test_a_header_that_a_template_breaks_is_refused(hook: Hook):
    for text in ("{{ tok3n }}", "{{ 'tok3n' tok3n }}"):
        with pytest.raises(UsageError, match="the header Title") as error:
            WebhookTarget(hook.url, {"Title": text})
        assert "tok3n" not in str(error.value)
