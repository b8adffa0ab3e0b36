"""Which licences let a photo or a recording be shown to others.

Showing it, small or in part, with its author and licence beside it, is what Creative Commons licences of every kind and
the public domain allow. Terms that are not known to allow it are taken not to.
"""

from __future__ import annotations

import re

# Codes and addresses of Creative Commons, as archives write them: "CC BY-NC", "cc_by_nc_4_0", ".../licenses/by/3.0/".
_CODE = re.compile(r"\bcc[ _-]?(?:0|zero|by|pdm?|pddc)(?![a-z])|creativecommons\.org/(?:licenses/by|publicdomain/)")
_WORDS = re.compile(
    r"\bcreative commons (?:attribution|zero)\b|\bpublic domain\b|\bno (?:known )?copyright restrictions\b"
)
_RESERVED = re.compile(r"\ball rights reserved\b|\bnot (?:in the )?public domain\b")


def may_be_shown(licence: str) -> bool:
    """Whether a photo or recording of this licence may be shown with its credits.

    CC0, every CC BY licence and the public domain allow it, and so does a licence that is not named: then the file is
    one's own. Everything else, such as "all rights reserved", does not.

    Parameters
    ----------
    licence : str
        As its archive or its owner wrote it: a code, a name or an address.
    """
    words = " ".join(licence.casefold().replace("_", "-").split())
    if not words:
        return True
    return not _RESERVED.search(words) and bool(_CODE.search(words) or _WORDS.search(words))
