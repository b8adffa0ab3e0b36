"""The decoder of a file, by its bytes."""

from __future__ import annotations

from edgeapp.audio.formats import sniff
from edgeapp.audio.formats.decoder import DamagedError, Decoder, NotAudioError
from edgeapp.audio.formats.flac import flac_decoder
from edgeapp.audio.formats.mpeg import mpeg_decoder
from edgeapp.audio.formats.ogg import ogg_decoder
from edgeapp.audio.formats.sndfile import SndfileDecoder
from edgeapp.audio.formats.view import Readable, View, read_at, size_of
from edgeapp.audio.formats.wave_decoder import wave_decoder


def open_decoder(file: Readable) -> Decoder:
    """Decoder of an open file.

    Raises
    ------
    NotAudioError
        It is something else than sound.
    DamagedError
        It is sound that cannot be decoded.
    """
    begin = sniff.skip_id3(file)
    format = sniff.format_of(read_at(file, begin, sniff.HEAD))
    if format == sniff.WAVE:
        return wave_decoder(file if not begin else View(file, [(begin, size_of(file))]))
    if format == sniff.FLAC:
        return flac_decoder(file, begin)
    if format == sniff.OGG and (ogg := ogg_decoder(file, begin)) is not None:
        return ogg
    if format is None and not begin:
        if words := sniff.description(file):
            raise NotAudioError(words)
        if sniff.is_text(read_at(file, 0, sniff.HEAD)):
            raise DamagedError("it is text")
    if format in (sniff.MPEG, None) and (found := mpeg_decoder(file, begin, format is None and not begin)) is not None:
        return found
    return SndfileDecoder(file)
