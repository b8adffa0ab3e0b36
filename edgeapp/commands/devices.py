"""``biovita-edge devices``: what a station can listen to, and under which names."""

from __future__ import annotations

import json

import typer

from edgeapp.commands.options import JsonOption
from edgeapp.terminal import say, tell


def devices(as_json: JsonOption = False) -> None:
    """List the microphones and the sources of sound servers, with the names that `listen --device` takes."""
    from edgeapp.audio.microphones.devices import listing, table

    found = [device for device in listing() if not device.ghost]
    if as_json:
        kept = ("index", "alsa", "server", "usb_path", "usb_id", "channels", "rate_hz", "default")
        told = [{"name": one.name, **{key: getattr(one, key) for key in kept}} for one in found]
        typer.echo(json.dumps(told, indent=2, ensure_ascii=False))
        return
    for line in table(found):
        say(line)
    if not found:
        tell("no microphone found")
