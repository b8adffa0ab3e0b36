"""The decoder of a file, by its bytes."""

from __future__ import annotations

from edgeapp.audio.formats import sniff
from edgeapp.audio.formats.decoder import DamagedError, Decoder, NotAudioError, UnknownCodecError
from edgeapp.audio.formats.flac import flac_decoder
from edgeapp.audio.formats.foreign import foreign_decoder
from edgeapp.audio.formats.mpeg import mpeg_decoder
from edgeapp.audio.formats.ogg import ends_cut, ogg_decoder
from edgeapp.audio.formats.resized import ResizedDecoder
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
        try:
            return wave_decoder(file if not begin else View(file, [(begin, size_of(file))]))
        except UnknownCodecError:
            return foreign_decoder(file, format)
    if format == sniff.FLAC:
        return flac_decoder(file, begin)
    if format in sniff.FOREIGN:
        return foreign_decoder(file, format)
    if format == sniff.OGG and (ogg := ogg_decoder(file, begin)) is not None:
        return ogg
    if format == sniff.MPEG and (mpeg := mpeg_decoder(file, begin)) is not None:
        return mpeg
    if format in (sniff.MPEG, None):  # two bytes say little
        if not begin and (words := sniff.description(file)):
            raise NotAudioError(words)
        if not begin and sniff.is_text(read_at(file, 0, sniff.HEAD)):
            raise DamagedError("it is text")
        if (mpeg := mpeg_decoder(file, begin, near=not begin)) is not None:
            return mpeg
    try:
        if format in (sniff.AIFF, sniff.CAF) or (format == sniff.AU and read_at(file, 0, 1) == b"."):
            return ResizedDecoder(file, format)
        return SndfileDecoder(View(file, [(0, size_of(file))]))
    except DamagedError:
        if format not in (sniff.OGG, sniff.CAF, sniff.AIFF):
            raise
        other = foreign_decoder(file, format)  # a codec that libsndfile does not know
        if format == sniff.OGG:
            other.cut = ends_cut(file, begin)
        return other
