"""The settings as a page for people: ``python -m edgeapp.config.document > docs/settings.md``."""

from __future__ import annotations

from collections.abc import Iterator

from edgeapp.config.effect import in_words
from edgeapp.config.file import described
from edgeapp.config.setting import Setting
from edgeapp.config.settings import SECTIONS, SETTINGS, THRESHOLD


def page() -> str:
    """The page, in Markdown."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield "# Settings"
    yield ""
    yield "Made from the table in `edgeapp/config/settings.py`. A flag of `biovita-edge listen` goes before the"
    yield "environment, the environment before the file, the file before the default. A variable of the environment is"
    yield "called `BIOVITA_SECTION_NAME`; several values in it are separated by `;`. An empty text unsets what the file"
    yield "sets. Relative paths in the file start at its folder. A running station reads the file again"
    yield "when `biovita-edge config set` changes it, and on SIGHUP (`systemctl reload biovita-edge`)."
    for section, kind in SECTIONS.items():
        yield from ("", f"## [{section}]", "", f"{(kind.__doc__ or '').strip()} {in_words(section)}", "")
        yield from ("| name | flag | default | what |", "|---|---|---|---|")
        for setting in SETTINGS:
            if setting.section == section:
                yield _row(setting)
    yield from ("", f"## [{THRESHOLD.section}]", "", f'{described(THRESHOLD)} For example `"Parus major" = 0.8`,')
    yield f'or `{THRESHOLD.flag} "Parus major=0.8"`.'


def _row(setting: Setting) -> str:
    default = setting.default
    shown = "" if default in (None, ()) else str(default).lower() if isinstance(default, bool) else f"{default}"
    cells = (f"`{setting.name}`", f"`{setting.flag}`" if setting.flag else "", shown, described(setting))
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    print(page(), end="")
