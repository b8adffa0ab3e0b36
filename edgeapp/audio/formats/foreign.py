"""Formats that libsndfile does not read, of phones, the web and cameras: through ffmpeg, or PyAV where that is missing.

ffmpeg comes first: it runs in a process of its own, so that a file which breaks a decoder ends nothing else, and the
system keeps it up to date. Neither is given a file whose bytes do not say what it is, nor anything but that file: a
playlist could name others, and addresses in the network.
"""

from __future__ import annotations

import io
import itertools
import os
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import numpy as np

from edgeapp.audio.formats import asf, avi, caf_shifted, matroska_repair, mp4, mp4_shifted, sniff
from edgeapp.audio.formats.decoder import (
    DamagedError,
    Decoder,
    Hole,
    MissingDecoderError,
    NotAudioError,
)
from edgeapp.audio.formats.framed import framed_decoder
from edgeapp.audio.formats.matroska import MatroskaSound
from edgeapp.audio.formats.timed import Timed, in_time
from edgeapp.audio.formats.view import Readable, View, size_of
from edgeapp.paths import child_environment
from gallery.errors import reason_of

FFMPEG = "ffmpeg"
STALL_S = 60.0  # after which a decoder that gives nothing is ended
COPIED = 1 << 20
CHECKED = "crccheck+explode"  # a packet with another sum is an error
SUMMED = frozenset((sniff.WAVPACK, sniff.TTA))  # say of each packet what its samples sum up to
QUIETEST = 50  # bytes a second: no codec takes less, so times that lead beyond are damaged
SHORT_S = 0.5  # of what a container announces, which rounds
ESTIMATED = frozenset((sniff.ADTS, sniff.AC3, sniff.AMR, sniff.ASF, sniff.MPEG_TS, sniff.MPEG_PS))  # by their bit rate

# What each calls the formats; both know the others by themselves.
_DEMUXERS = {
    sniff.MP4: "mov",
    sniff.MATROSKA: "matroska",
    sniff.ASF: "asf",
    sniff.ADTS: "aac",
    sniff.AMR: "amr",
    sniff.CAF: "caf",
    sniff.AVI: "avi",
    sniff.FLV: "flv",
    sniff.MPEG_TS: "mpegts",
    sniff.MPEG_PS: "mpeg",
    sniff.WAVPACK: "wv",
    sniff.APE: "ape",
    sniff.TTA: "tta",
    sniff.DSF: "dsf",
    sniff.AC3: "ac3",
    sniff.WAVE: "wav",
    sniff.AIFF: "aiff",
    sniff.OGG: "ogg",
    sniff.FLAC: "flac",
}
# A file without what is damaged, and what that is in words; None where it is whole.
_REPAIRS: dict[str, Callable[[Readable], tuple[Readable, str] | None]] = {
    sniff.MATROSKA: matroska_repair.repaired,
    sniff.ASF: asf.repaired,
    sniff.AVI: avi.repaired,
    sniff.CAF: caf_shifted.put_right,
    sniff.MP4: lambda file: mp4_shifted.put_right(file) or mp4.repaired(file),
}
_WITHOUT_SOUND = "a video without sound"
_TRACK = re.compile(r"^\[info\] *Stream #0:\d+.*: Audio:")
_MAPPING = "[info] Stream mapping:"
_DURATION = re.compile(r"^\[info\] *Duration: (\d+):(\d\d):(\d\d\.\d+)")
_LEVEL = re.compile(r"^(?:\[[^\]]* @ 0x[0-9a-f]+\] ?)?\[(error|fatal|panic)\] (.*)$")


def _most_s(file: Readable) -> int:
    return 60 + size_of(file) // QUIETEST


def foreign_decoder(file: Readable, kind: str) -> Decoder:
    """Decoder of a file in a format that libsndfile does not read.

    Raises
    ------
    MissingDecoderError
        Neither ffmpeg nor PyAV is installed.
    NotAudioError, DamagedError
    """
    if (framed := framed_decoder(file, kind, lambda part, damage: _decoder(part, kind, damage))) is not None:
        return framed
    damage = ""
    if (found := _REPAIRS[kind](file) if kind in _REPAIRS else None) is not None:
        file, damage = found
    if kind == sniff.MP4 and not mp4.has_index(file):
        raise DamagedError("it ends before the index, which is written last")
    return _decoder(file, kind, damage)


def _decoder(file: Readable, kind: str, damage: str) -> Decoder:
    if shutil.which(FFMPEG) is not None:
        return FfmpegDecoder(file, kind, damage)
    try:
        import av  # noqa: F401
    except ImportError:
        raise MissingDecoderError(kind) from None
    return AvDecoder(file, kind, damage)


class FfmpegDecoder:
    """Sound that ffmpeg decodes; see `edgeapp.audio.formats.decoder.Decoder`.

    It gives floats in Matroska through a pipe, for they have to come with their times.

    Parameters
    ----------
    file : Readable
    kind : str
    damage : str
        What is known to be wrong with the file.
    """

    def __init__(self, file: Readable, kind: str, damage: str = "") -> None:
        self._kind = kind
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._path = self._path_of(file)
        self._most_s = _most_s(file)
        self._process: subprocess.Popen[bytes] | None = None
        self.frames: int | None = None
        self.announced: int | None = None
        self.notes: list[str] = []
        self.holes: list[Hole] = []
        self.cut, self.reason = False, damage
        try:
            self._output = self._start()
            self.rate_hz, self.channels = self._output.rate_hz, self._output.channels
        except BaseException:
            self.close()
            raise

    def blocks(self, first: int = 0) -> Iterator[np.ndarray]:
        """Frames from a position on; what comes before is decoded and left out."""
        if self._process is None:
            self._output = self._start()
        given = 0
        try:
            for frames in in_time(self._output.pieces(), self.rate_hz, self._most_s, self.holes):
                yield frames[max(0, first - given) :]
                given += len(frames)
            self._ended(given)
        finally:
            self._stop()

    def close(self) -> None:
        """End ffmpeg, and remove what was copied for it."""
        self._stop()
        if self._folder is not None:
            self._folder.cleanup()

    def _start(self) -> MatroskaSound:
        """Begin to decode."""
        demuxer = ["-f", _DEMUXERS[self._kind]] if self._kind in _DEMUXERS else []
        command: list[str | bytes] = [FFMPEG, "-nostdin", "-hide_banner", "-nostats", "-loglevel", "level+info"]
        # Times as they are: ffmpeg would close a gap of ten seconds.
        command += ["-copyts", "-protocol_whitelist", "file", *demuxer]
        command += ["-err_detect", CHECKED] if self._kind in SUMMED else []
        command += ["-i", b"file:" + self._path]
        command += ["-map", "0:a:0", "-vn", "-sn", "-dn", "-t", str(self._most_s), "-c:a", "pcm_f32le"]
        command += ["-f", "matroska", "-"]
        # What it says goes into a file, for nobody reads a pipe meanwhile.
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  # closed by `_stop`
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self._said, env=child_environment()
        )
        output = MatroskaSound(self._read)
        if not output.rate_hz:
            said = self._errors()
            self._stop()
            if any("matches no streams" in line for line in said):
                raise NotAudioError(_WITHOUT_SOUND)
            raise DamagedError(said[0] if said else "ffmpeg cannot decode it")
        return output

    def _read(self, size: int) -> bytes:
        """What ffmpeg gives; it is ended if it gives nothing for long."""
        assert self._process is not None and self._process.stdout is not None
        watchdog = threading.Timer(STALL_S, self._process.kill)
        watchdog.daemon = True
        watchdog.start()
        try:
            return self._process.stdout.read(size)
        finally:
            watchdog.cancel()

    def _ended(self, given: int) -> None:
        assert self._process is not None
        status = self._process.wait()
        said = self._errors()
        if not given:
            raise DamagedError(said[0] if said else "it has no sound")
        self.notes += _on_tracks(self._tracks())
        if status or said:
            self.cut, self.reason = True, self.reason or (said[0] if said else f"ffmpeg ended with {status}")
        if not self.reason and not self.holes:
            _compare(self, given, self._announced_s())

    def _announced_s(self) -> float:
        """Seconds that the container says there are; 0 where it does not, or guesses by the size of the file."""
        of_file = list(itertools.takewhile(lambda line: not line.startswith(_MAPPING), self._lines()))
        streams = sum("Stream #0:" in line for line in of_file)
        found = next((match for line in of_file if (match := _DURATION.match(line))), None)
        if found is None or streams != 1 or self._kind in ESTIMATED:  # a film may go on without sound
            return 0.0
        hours, minutes, seconds = found.groups()
        return 3600 * int(hours) + 60 * int(minutes) + float(seconds)

    def _errors(self) -> list[str]:
        """What ffmpeg said is wrong."""
        assert self._process is not None
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(STALL_S)
        found = [match[2].strip() for line in self._lines() if (match := _LEVEL.match(line))]
        path = "file:" + os.fsdecode(self._path)
        return [line.replace(path + ": ", "").rstrip(".") for line in found if line]

    def _tracks(self) -> int:
        """How many tracks of sound ffmpeg saw in the file."""
        of_file = itertools.takewhile(lambda line: not line.startswith(_MAPPING), self._lines())
        return sum(bool(_TRACK.match(line)) for line in of_file)

    def _lines(self) -> list[str]:
        """What ffmpeg said, each line with its level."""
        self._said.seek(0)
        return [line.strip() for line in self._said.read(COPIED).decode("utf-8", "replace").splitlines()]

    def _stop(self) -> None:
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._said.close()
        self._process = None

    def _path_of(self, file: Readable) -> bytes:
        """Where ffmpeg finds the file; a copy of one that has no path."""
        if isinstance(file, io.BufferedReader) and isinstance(file.name, (str, bytes)) and os.path.isfile(file.name):
            return os.fsencode(file.name)
        self._folder = tempfile.TemporaryDirectory()
        path = os.path.join(self._folder.name, "recording")
        file.seek(0)
        with open(path, "wb") as copy:
            shutil.copyfileobj(file, copy)
        return os.fsencode(path)


class AvDecoder:
    """Sound that PyAV decodes; see `FfmpegDecoder`."""

    def __init__(self, file: Readable, kind: str, damage: str = "") -> None:
        self._file, self._kind = file, kind
        self._container: Any = None
        self.frames: int | None = None
        self.announced: int | None = None
        self.notes: list[str] = []
        self.holes: list[Hole] = []
        self.cut, self.reason = False, damage
        self._open()
        self.rate_hz: int = self._stream.rate
        self.channels: int = self._stream.channels
        if not self.rate_hz or not self.channels:
            raise DamagedError("its header does not say how the sound is written")

    def blocks(self, first: int = 0) -> Iterator[np.ndarray]:
        """Frames from a position on; what comes before is decoded and left out."""
        if self._container is None:
            self._open()
        given = 0
        for frames in in_time(self._pieces(), self.rate_hz, _most_s(self._file), self.holes):
            yield frames[max(0, first - given) :]
            given += len(frames)
        if not given:
            raise DamagedError(self.reason or "it has no sound")
        self.notes += _on_tracks(len(self._container.streams.audio))
        if not self.reason and not self.holes:
            _compare(self, given, self._announced_s())

    def _pieces(self) -> Iterator[Timed]:
        """What the packets hold, each with its time."""
        import av

        resampler = av.AudioResampler(format="flt", rate=self.rate_hz)
        try:
            for packet in self._container.demux(self._stream):
                try:
                    decoded = packet.decode()
                except av.error.FFmpegError as error:
                    self.cut, self.reason = True, self.reason or reason_of(error)
                    continue
                for frame in (one for whole in decoded for one in resampler.resample(whole)):
                    yield frame.time, frame.to_ndarray().reshape(-1, self.channels)
        except av.error.FFmpegError as error:
            self.cut, self.reason = True, self.reason or reason_of(error)

    def _announced_s(self) -> float:
        """Seconds that the container says there are; 0 where it does not, or guesses by the size of the file."""
        import av

        if self._kind in ESTIMATED:
            return 0.0
        if self._stream.duration and self._stream.time_base:
            return float(self._stream.duration * self._stream.time_base)
        alone = len(self._container.streams) == 1  # a film may go on without sound
        return (self._container.duration or 0) / av.time_base if alone else 0.0

    def close(self) -> None:
        """Close the container."""
        if self._container is not None:
            self._container.close()
            self._container = None

    def _open(self) -> None:
        import av

        options = {"err_detect": CHECKED} if self._kind in SUMMED else {}
        view = View(self._file, [(0, size_of(self._file))])
        try:
            self._container = av.open(view, format=_DEMUXERS.get(self._kind), options=options)
        except (av.error.FFmpegError, ValueError) as error:
            raise DamagedError(reason_of(error)) from None
        if not self._container.streams.audio:
            self.close()
            raise NotAudioError(_WITHOUT_SOUND)
        self._stream = self._container.streams.audio[0]
        self._stream.codec_context.options = options


def _compare(decoder: FfmpegDecoder | AvDecoder, given: int, announced_s: float) -> None:
    """Tell that less was decoded than the container says there is."""
    if given / decoder.rate_hz < announced_s - SHORT_S:
        decoder.cut, decoder.announced = True, round(announced_s * decoder.rate_hz)


def _on_tracks(count: int) -> list[str]:
    return [f"it has {count} tracks of sound, of which the first was used"] if count > 1 else []
