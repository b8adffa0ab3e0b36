"""A device that can record, by all the names it has."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class SoundDevice:
    """One device that can record.

    Attributes
    ----------
    name : str
        PortAudio's name where it lists the device, else the name of the card.
    index : int or None
        PortAudio's number; None where PortAudio is missing or does not list the device.
    alsa : str or None
        What `arecord -D` takes, by the name of the card and not its number.
    card, pcm : int or None
        ALSA's numbers of the card and of its device.
    server : str or None
        Name of a source of a sound server, with its ``pulse:`` or ``pipewire:``.
    address : str or None
        Of a source in the network, log-in included: never to be shown.
    usb_path, usb_id : str or None
        Stable ids of a USB microphone, with their ``usb-path:`` and ``usb-id:``.
    channels : int or None
        Most channels it records at once, where PortAudio says.
    rate_hz : int or None
        What PortAudio calls its default rate.
    default : bool
        Used when no device is named.
    ghost : bool
        An internal link of a Jetson without a microphone; selected by index only.
    """

    name: str
    index: int | None = None
    alsa: str | None = None
    card: int | None = None
    pcm: int | None = None
    usb_path: str | None = None
    usb_id: str | None = None
    channels: int | None = None
    rate_hz: int | None = None
    default: bool = False
    ghost: bool = False
    server: str | None = None
    address: str | None = field(default=None, repr=False)

    @property
    def device_id(self) -> str:
        """The most stable name it has: where it is plugged in, else the ALSA or server's name, else PortAudio's."""
        return self.usb_path or self.alsa or self.server or self.name
