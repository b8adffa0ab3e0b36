"""Public weights in a folder or a repository of the Hugging Face hub.

A source is the path of a folder, or `hf-hub:organisation/name`, optionally with `@revision`: a branch, a tag or, for
reproducibility, a commit. Only the required files are downloaded. They stay in the library's cache (`HF_HOME`), and are
used from there without a network.
"""

from __future__ import annotations

import re
from pathlib import Path

from edgeapp.audio.names import why_no_file
from trainer.data.manifest import shared_folder
from trainer.errors import CheckpointError, ConfigError

HUB = "hf-hub:"
COMMIT = re.compile("[0-9a-f]{40}")
NAMED = "name a folder, or hf-hub:organisation/name@revision"


def find_file(source: str, *names: str) -> Path:
    """The first of the files `names` that a source has, downloaded if it is on the hub.

    Raises
    ------
    CheckpointError
        When the source does not exist or cannot be reached, or has none of the files.
    ConfigError
        When the huggingface_hub library is missing.
    """
    return fetched(source, names) if source.startswith(HUB) else in_folder(source, names)


def default_pretrained() -> Path:
    """Folder of the public weights beside the project.

    Raises
    ------
    CheckpointError
        When it does not exist.
    """
    shared = shared_folder()
    if shared is None or not (shared / "pretrained").is_dir():
        raise CheckpointError("no public weights beside the project", "name their folder with --pretrained")
    return shared / "pretrained"


def pinned(source: str, file: Path) -> str:
    """A hub source with the commit of its downloaded file; a folder, or a source with a commit, is unchanged."""
    repository, _, revision = source.partition("@")
    commit = file.parent.name  # the cache has a folder for each commit
    if not source.startswith(HUB) or revision == commit or not COMMIT.fullmatch(commit):
        return source
    return f"{repository}@{commit}"


def in_folder(source: str, names: tuple[str, ...]) -> Path:
    folder = Path(source).expanduser()
    if not folder.is_dir():
        raise CheckpointError(f"{source}: no such folder", NAMED)
    for name in names:
        if (folder / name).is_file():
            return folder / name
        if (folder / name).exists():
            raise CheckpointError(f"{folder / name}: {why_no_file(folder / name)}", "put the file there")
    raise CheckpointError(f"{source}: has no {' or '.join(names)}", "name the folder that holds it")


def fetched(source: str, names: tuple[str, ...]) -> Path:
    try:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.utils import (
            EntryNotFoundError,
            GatedRepoError,
            HFValidationError,
            LocalEntryNotFoundError,
            RepositoryNotFoundError,
            RevisionNotFoundError,
        )
    except ImportError:
        raise ConfigError("the huggingface_hub library is missing", "pip install 'biovita-edge[train]'") from None
    repository, at, revision = source.removeprefix(HUB).partition("@")
    if repository.count("/") != 1 or (at and not revision):
        raise CheckpointError(f"{source}: not a repository of the hub", NAMED)
    unreachable = False
    for name in names:
        try:
            found = hf_hub_download(repository, name, revision=revision or "main", local_files_only=unreachable)
            return Path(found)
        except LocalEntryNotFoundError:  # others may be in the cache; do not use the network again
            unreachable = True
        except GatedRepoError as error:
            raise CheckpointError(
                f"{source}: access is restricted", "accept the terms on its page, then run 'hf auth login'"
            ) from error
        except RepositoryNotFoundError as error:
            raise CheckpointError(f"{source}: no such repository on the hub", NAMED) from error
        except RevisionNotFoundError as error:
            raise CheckpointError(f"{source}: the repository has no revision {revision}", NAMED) from error
        except HFValidationError as error:
            raise CheckpointError(f"{source}: not a repository of the hub", NAMED) from error
        except EntryNotFoundError:
            continue
        except OSError as error:  # network error, or the disk is full
            raise CheckpointError(
                f"{source}: {name} cannot be downloaded ({error})", "download it separately and name its folder"
            ) from error
    if unreachable:
        where = f"{source}: the hub cannot be reached and {' or '.join(names)} is not in its cache"
        raise CheckpointError(where, f"run 'hf download {repository}' with a network connection, or name a folder")
    raise CheckpointError(f"{source}: the repository has no {' or '.join(names)}", NAMED)
