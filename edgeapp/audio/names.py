"""Which files of a folder are recordings, by their names alone: a folder of millions is not opened to find out."""

from __future__ import annotations

import os
import stat

from gallery.errors import reason_of

# Of sound alone. A film is heard when it is named, but a folder of a camera's films is no folder of recordings.
EXTENSIONS = frozenset(
    (
        *(".wav", ".wave", ".w64", ".rf64", ".bw64", ".bwf", ".aif", ".aiff", ".aifc", ".caf", ".au"),
        *(".flac", ".ogg", ".oga", ".opus", ".spx", ".mp3", ".mp2", ".wv"),
        *(".m4a", ".m4b", ".aac", ".3gp", ".3ga", ".amr", ".webm", ".weba", ".mka", ".wma"),
    )
)

_SPECIAL = (
    (stat.S_ISDIR, "folder"),
    (stat.S_ISFIFO, "named pipe"),
    (stat.S_ISSOCK, "socket"),
    (stat.S_ISCHR, "device"),
    (stat.S_ISBLK, "device"),
)
# What may hold sound as well, and is passed over with a word.
FILM, UNUSUAL = "film", "unusual sound file"
_OTHERS = {
    **dict.fromkeys(
        (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".flv", ".ts", ".mts", ".m2ts", ".mpg", ".mpeg", ".wmv"), FILM
    ),
    **dict.fromkeys((".ac3", ".ape", ".dsf", ".mpc", ".pcm", ".raw", ".snd", ".tta", ".wac"), UNUSUAL),
}

COMPANION = "macOS companion file"
HIDDEN = "hidden file"
UNFINISHED = "unfinished file"

_UNFINISHED = (".tmp", ".temp", ".part", ".partial", ".filepart", ".crdownload", ".incomplete")
_NOT_OURS = frozenset(("lost+found", "System Volume Information", "$RECYCLE.BIN", "@eaDir", "__MACOSX"))


def has_extension(name: str) -> bool:
    """Whether a file's name ends as those of recordings do, in upper or lower case."""
    return os.path.splitext(name)[1].lower() in EXTENSIONS


def left_out(name: str) -> str | None:
    """Why a file with an extension of recordings is none, by the rest of its name: what it is; None of a recording."""
    if name.startswith("._"):
        return COMPANION
    if is_hidden(name):
        return HIDDEN
    if os.path.splitext(name)[0].lower().endswith(_UNFINISHED):
        return UNFINISHED
    return None


def other_sound(name: str) -> str | None:
    """What a file is that may hold sound and is not taken for a recording, by its extension; None of any other."""
    return None if is_hidden(name) else _OTHERS.get(os.path.splitext(name)[1].lower())


def is_recording(name: str) -> bool:
    """Whether a file with this name is taken for a recording where nobody named it."""
    return has_extension(name) and left_out(name) is None


def is_searched(name: str) -> bool:
    """Whether a subfolder with this name is searched for recordings."""
    return not is_hidden(name) and name not in _NOT_OURS


def special_file(mode: int) -> str | None:
    """What a file is that holds no bytes of its own, by its ``st_mode``; None of a file."""
    if stat.S_ISREG(mode):
        return None
    return next((name for is_kind, name in _SPECIAL if is_kind(mode)), "special file")


def why_no_file(path: str | os.PathLike[str]) -> str | None:
    """Why nothing can be read at a path: a folder, a pipe, a link that leads nowhere; None of a file."""
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return "is a link to a file that is not there" if os.path.islink(path) else "does not exist"
    except (OSError, ValueError) as error:
        return f"cannot be opened ({reason_of(error)})"
    kind = special_file(mode)
    return f"is a {kind}" if kind else None


def is_hidden(name: str) -> bool:
    """Whether a file manager would not show it, or an editor made it for itself."""
    return name.startswith((".", "~"))
