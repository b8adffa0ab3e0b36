"""Templates of messages: Jinja, in a sandbox, with the fields of the detection document as variables.

A template is tried when it is read, on a document with everything and on one with as little as there may be: what would
fail at the first detection fails at `config check`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from edgeapp.detections.document import Review, Source, detection_document
from edgeapp.errors import UsageError
from edgeapp.recognition.results import Origin
from gallery.candidates import Candidate
from gallery.recognition import Detection

LONGEST = 1_000_000  # characters that a template may make
_PATH = ("Animalia", "Chordata", "Aves", "Passeriformes", "Paridae", "Parus")
_ORIGIN = Origin("starter", "1.0", 64 * "0")
_TIMES = {"time": "2026-05-01T04:12:09.250Z", "clock": "set"}


def examples() -> tuple[dict[str, Any], dict[str, Any]]:
    """A detection document with everything, and one with little."""
    tit = Candidate("Parus major", "Great Tit", 0.93, 0.4)
    review = Review("confirmed", None, "Ann", "seen as well", "2026-05-01T05:00:00Z")
    full = detection_document(
        Detection("species", "Parus major", "Great Tit", (*_PATH, "Parus major"), 0.93, (tit,)),
        start_s=15.0,
        end_s=25.0,
        origin=_ORIGIN,
        id="a129fb98-edd6-5f82-ab94-348fccb8b8dd",
        source=Source(device="USB", station="garden", latitude=52.5, longitude=13.4),
        clip="2026/05/parus_major.flac",
        review=review,
    )
    sparse = detection_document(
        Detection("genus", "Parus", "", _PATH, 0.75, ()), start_s=0.0, end_s=10.0, source=Source(), origin=_ORIGIN
    )
    return full | _TIMES | {"updated": True}, sparse | _TIMES | {"updated": False}


class Template:
    """A template of a text.

    Parameters
    ----------
    text : str
        Jinja. The fields of the detection document are variables, ``document`` is all of it, and ``tojson`` writes a
        value as JSON.
    name : str
        For errors.
    is_json : bool
        Whether what it makes must be JSON.
    secret : bool
        Whether errors must not quote it.

    Raises
    ------
    UsageError
        It is no template, uses what a document does not have, or makes no JSON.
    """

    def __init__(self, text: str, name: str, is_json: bool = False, secret: bool = False) -> None:
        from jinja2 import StrictUndefined, TemplateSyntaxError
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        self.name = name
        self._is_json, self._secret = is_json, secret
        environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False)
        environment.filters["tojson"] = _as_json  # that of Jinja escapes for HTML
        try:
            self._template = environment.from_string(text)
        except TemplateSyntaxError as error:
            what = "is no template" if secret else error.message
            raise UsageError(f"{name}, line {error.lineno}: {what}", "correct the template") from None
        for document in examples():
            self.of(document)

    def of(self, document: Mapping[str, Any]) -> str:
        """The text of a document.

        Raises
        ------
        UsageError
            It cannot be made.
        """
        try:
            text = self._template.render(**document, document=document)
        except Exception as error:  # whatever an expression of a template raises
            reason = "" if self._secret else " ".join(str(error).split())
            reason = reason or f"cannot be made ({type(error).__name__})"
            raise UsageError(f"{self.name}: {reason}", "use the fields of the detection document") from None
        if len(text) > LONGEST:
            raise UsageError(f"{self.name}: makes {len(text)} characters", "make a shorter text")
        if self._is_json:
            try:
                json.loads(text)
            except ValueError as error:
                remedy = "write values with `| tojson`, or set another Content-Type in webhook.header"
                raise UsageError(f"{self.name}: does not make JSON ({error})", remedy) from None
        return text


def _as_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
