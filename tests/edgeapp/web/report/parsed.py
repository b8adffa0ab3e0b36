"""A report as a tree of elements, by the parser of HTML of the standard library."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import soundfile

VOID = {"meta", "link", "img", "br", "hr", "input"}
DRAWN = {"fefuncr", "fefuncg", "fefuncb"}  # of SVG, closed by themselves


@dataclass
class Element:
    """An element with its attributes, and the elements and text in it, in order."""

    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    content: list[Element | str] = field(default_factory=list)

    @property
    def children(self) -> list[Element]:
        return [one for one in self.content if isinstance(one, Element)]

    def all(self, tag: str, **wanted: str) -> list[Element]:
        """Elements inside, by their tag; ``of`` is one of their classes."""
        return [one for one in self.inside() if one.tag == tag and all(one.has(*pair) for pair in wanted.items())]

    def has(self, name: str, value: str) -> bool:
        if name == "of":
            return value in self.attributes.get("class", "").split()
        return self.attributes.get(name) == value

    def inside(self) -> Iterator[Element]:
        for child in self.children:
            yield child
            yield from child.inside()

    @property
    def text(self) -> str:
        """All text inside, spaces as one."""
        if self.tag in ("script", "style"):
            return ""
        return " ".join(" ".join(one if isinstance(one, str) else one.text for one in self.content).split())

    def section(self, id: str) -> Element:
        (found,) = [one for one in self.inside() if one.attributes.get("id") == id]
        return found


class Parser(HTMLParser):
    """Fails for a tag that is closed and not open, or the other way round."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Element("")
        self.open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"<{tag}> has an attribute twice"
        made = Element(tag, {name: value or "" for name, value in attrs})
        self.open[-1].content.append(made)
        if tag not in VOID:
            self.open.append(made)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in DRAWN, tag
        self.open[-1].content.append(Element(tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop().tag == tag, f"</{tag}>"

    def handle_data(self, data: str) -> None:
        self.open[-1].content.append(data)


def parsed(path: Path) -> Element:
    """The tree of a report; each id is there once, and every link leads to one."""
    parser = Parser()
    parser.feed(path.read_text(encoding="utf-8"))
    parser.close()
    assert parser.open == [parser.root]
    ids = [one.attributes["id"] for one in parser.root.inside() if "id" in one.attributes]
    assert len(ids) == len(set(ids))
    links = [one.attributes["href"] for one in parser.root.all("a") if one.attributes["href"].startswith("#")]
    assert {link[1:] for link in links} <= set(ids)
    return parser.root


def addresses(root: Element) -> set[str]:
    """Beginnings of the addresses that a browser would load something from."""
    loading = [one.attributes[name] for one in root.inside() for name in ("src", "srcset") if name in one.attributes]
    loading += [one.attributes["href"] for one in root.all("link")]
    return {address.partition(",")[0] for address in loading}


def sound_of(audio: Element) -> tuple[np.ndarray, int]:
    """Samples and rate of a player."""
    head, _, content = audio.attributes["src"].partition(",")
    assert head in ("data:audio/mpeg;base64", "data:audio/ogg;base64")
    samples, rate_hz = soundfile.read(io.BytesIO(base64.b64decode(content)), dtype="float32")
    return samples, rate_hz


def loudest_hz(samples: np.ndarray, rate_hz: int) -> float:
    """Frequency with the most power."""
    spectrum = np.abs(np.fft.rfft(samples))
    return float(spectrum.argmax() * rate_hz / len(samples))
