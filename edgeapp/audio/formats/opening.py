"""The decoder of a file, by its bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from edgeapp.audio.formats import caf_shifted, sniff
from edgeapp.audio.formats.chain import Chain
from edgeapp.audio.formats.decoder import (
    DamagedError,
    Decoder,
    MissingDecoderError,
    NotAudioError,
    UnknownCodecError,
)
from edgeapp.audio.formats.extent import Extent, extent
from edgeapp.audio.formats.flac import flac_decoder
from edgeapp.audio.formats.foreign import foreign_decoder
from edgeapp.audio.formats.mpeg import JUNK, mpeg_decoder
from edgeapp.audio.formats.mpeg_frames import beside
from edgeapp.audio.formats.ogg import ends_cut, ogg_decoder
from edgeapp.audio.formats.resized import ResizedDecoder
from edgeapp.audio.formats.sndfile import SndfileDecoder
from edgeapp.audio.formats.tags import left_out
from edgeapp.audio.formats.view import Readable, View, read_at, size_of
from edgeapp.audio.formats.wave_decoder import wave_decoder


def open_decoder(file: Readable) -> Decoder:
    """Decoder of an open file, and of all that were joined to it.

    Raises
    ------
    NotAudioError
        It is something else than sound.
    DamagedError
        It is sound that cannot be decoded.
    MissingDecoderError
    """
    size = size_of(file)
    first, end = _part(file, 0, size)
    if sniff.is_recording(file, end):
        return Chain(first, _following(file, end, size), lambda: list(_parts(file, size)))
    if size - end > JUNK and not first.reason and not beside(file, end, size):  # by its sizes, if they are whole
        first.notes.append(left_out(size - end))
    return first


def _part(file: Readable, start: int, size: int) -> tuple[Decoder, int]:
    """Decoder of the file of sound that begins at a byte, and where that ends by its own sizes."""
    view = View(file, [(start, size)]) if start else file
    begin = sniff.skip_id3(view)
    format = sniff.format_of(read_at(view, begin, sniff.HEAD))
    found = extent(view, format)
    if sniff.is_recording(view, found.end):
        view = View(view, [(0, found.end)])
    decoder = _decoder(view, begin, format)
    if isinstance(decoder, Chain) and decoder.end is not None and _other_begins(view, decoder.end, format):
        found = Extent(decoder.end)
        decoder.close()
        decoder = _decoder(View(view, [(0, found.end)]), begin, format)
    decoder.cut = decoder.cut or found.cut
    return decoder, start + found.end


def _other_begins(file: Readable, at: int, format: str | None) -> bool:
    """Whether a file of another format begins at a byte: one of the same would have been taken for a part of it."""
    return sniff.format_of(read_at(file, at, sniff.HEAD)) != format and sniff.is_recording(file, at)


def _following(file: Readable, start: int, size: int) -> Callable[[Decoder], Decoder | None]:
    """What gives the decoder after another one; None after the last."""
    at = start

    def after(before: Decoder) -> Decoder | None:
        nonlocal at
        begin = at
        if not sniff.is_recording(file, begin):
            if size - begin > JUNK and not beside(file, begin, size):
                before.notes.append(left_out(size - begin))
            return None
        try:
            decoder, at = _part(file, begin, size)
        except (DamagedError, NotAudioError, MissingDecoderError) as error:
            before.notes.append(f"{left_out(size - begin)} ({error})")
            return None
        return decoder

    return after


def _parts(file: Readable, size: int) -> Iterator[Decoder]:
    first, end = _part(file, 0, size)
    yield first
    after, before = _following(file, end, size), first
    while (found := after(before)) is not None:
        yield found
        before = found


def _decoder(file: Readable, begin: int, format: str | None) -> Decoder:
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
    if format == sniff.CAF and caf_shifted.put_right(file) is not None:
        return foreign_decoder(file, format)  # libsndfile does not open it
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
