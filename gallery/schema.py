"""Names of the changes that led to the schema of a gallery file; `gallery.migrations` has the changes themselves.

Apart from them, so that reading a gallery need not load sqlite-utils.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gallery.errors import GalleryError

MIGRATION_SET = "biovita-gallery"
SCHEMA = (
    "m001_taxa_and_entries",
    "m002_modality_and_class_vectors",
    "m003_photos_without_vectors_and_two_sizes",
    "m004_counterexamples",
    "m005_blocks_of_vectors_and_centroids",
)  # the changes that this version knows, oldest first
STORES_CENTROIDS = SCHEMA[4]
# Change -> views through which a file that has not seen it is read all the same: galleries of packs are never changed.
VIEWS = {
    "m003_photos_without_vectors_and_two_sizes": (
        """
        CREATE TEMP VIEW thumbnails AS
        SELECT entry, NULL AS width, NULL AS height, NULL AS small, jpeg AS large FROM main.thumbnails
        """,
    ),
    "m004_counterexamples": (
        """
        CREATE TEMP VIEW counterexamples AS
        SELECT 0 AS id, '' AS taxon_rank, '' AS scientific_name, x'' AS vector, '' AS label, '' AS author,
            '' AS licence, '' AS source
        WHERE false
        """,
    ),
    STORES_CENTROIDS: (
        """
        CREATE TEMP VIEW entries AS
        SELECT id, taxon, modality, CASE WHEN vector IS NULL OR logit_scale > 0 THEN NULL ELSE id END AS block,
            CASE WHEN vector IS NULL OR logit_scale > 0 THEN NULL ELSE 0 END AS place, label, author, licence, source,
            sha256
        FROM main.entries
        """,
        """
        CREATE TEMP VIEW vectors AS
        SELECT id, taxon, modality, 'float32' AS dtype, NULL AS crc32, vector AS vectors
        FROM main.entries WHERE vector IS NOT NULL AND logit_scale IS NULL
        """,
        """
        CREATE TEMP VIEW class_vectors AS
        SELECT id AS entry, taxon, logit_scale, logit_bias, NULL AS crc32, vector
        FROM main.entries WHERE logit_scale > 0
        """,
    ),
}


def check_schema(applied: Sequence[str], path: Path, readonly: bool) -> list[str]:
    """Check that a file with these changes is a gallery that this version can use.

    Returns
    -------
    list[str]
        Statements that make an older file readable, for the connection alone.

    Raises
    ------
    GalleryError
        It is none, it is newer, or it is older and may not be brought up to date.
    """
    if not applied:
        raise GalleryError(f"{path} is an SQLite file but not a gallery", "name a gallery file, or build one")
    if set(applied) - set(SCHEMA):
        raise GalleryError(
            f"gallery {path} has schema {len(applied)}, this version knows up to {len(SCHEMA)}",
            "update biovita-edge, or build the gallery again",
        )
    unseen = [change for change in SCHEMA if change not in applied] if readonly else []
    if not VIEWS.keys() >= set(unseen):
        raise GalleryError(
            f"gallery {path} has schema {len(applied)}, this version needs {len(SCHEMA)}",
            "open it once for writing to bring it up to date, or build it again",
        )
    return [view for change in unseen for view in VIEWS[change]]
