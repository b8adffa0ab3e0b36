"""What m006 does to a journal: pages are answered from indexes and counts, without reading the rows.

A detection knows the verdict of its last review and the name that it has after it; triggers on the reviews keep both.
`heard` has how many detections of a name began within half an hour, `heard_in_all` how many there are, without those
that were rejected; triggers on the detections keep both, in the transaction of each change. `RECOUNT` makes them anew.

The indexes hold confirmed detections only, the rest being few and short-lived.
"""

from __future__ import annotations

SLOT_LETTERS = 15  # of a UTC text: half an hour, "2026-05-22T05:0" or "2026-05-22T05:3"

_LAST = "SELECT {} FROM reviews WHERE reviews.detection = {}.id ORDER BY reviews.id DESC LIMIT 1"
_NAME = "CASE verdict WHEN 'corrected' THEN name END"


def _counts(row: str) -> str:
    return f"{row}.confirmed AND {row}.verdict IS NOT 'rejected'"


def _slot(row: str) -> str:
    half = f"CASE WHEN substr({row}.time_utc, {SLOT_LETTERS}, 1) < '3' THEN '0' ELSE '3' END"
    return f"substr({row}.time_utc, 1, {SLOT_LETTERS - 1}) || {half}"


def _more(row: str) -> str:
    return (
        f"INSERT INTO heard SELECT {row}.current_name, {_slot(row)}, 1 WHERE {_counts(row)}"
        " ON CONFLICT (name, slot) DO UPDATE SET n = n + 1"
    )


def _fewer(row: str) -> str:
    of_row = f"name = {row}.current_name AND slot = {_slot(row)}"
    return f"""
        UPDATE heard SET n = n - 1 WHERE {of_row} AND {_counts(row)};
        DELETE FROM heard WHERE {of_row} AND n <= 0
    """


def _in_all(change: str, row: str = "new") -> str:
    return f"""
        INSERT INTO heard_in_all VALUES ({row}.name, 0 {change}) ON CONFLICT (name) DO UPDATE SET n = n {change};
        DELETE FROM heard_in_all WHERE name = {row}.name AND n <= 0
    """


def _reviewed(row: str) -> str:
    """Set what the last review of the detection of a review says."""
    return f"""
        UPDATE detections SET
            verdict = ({_LAST.format("verdict", "detections")}),
            current_name = coalesce(({_LAST.format(_NAME, "detections")}), scientific_name)
        WHERE id = {row}.detection
    """


RECOUNT = (
    "DELETE FROM heard",
    f"""
    INSERT INTO heard SELECT current_name, {_slot("detections")} AS slot, count(*) FROM detections
    WHERE {_counts("detections")} GROUP BY current_name, slot
    """,
    "DELETE FROM heard_in_all",
    "INSERT INTO heard_in_all SELECT name, sum(n) FROM heard GROUP BY name",
)

BROWSING = (
    "ALTER TABLE detections ADD COLUMN verdict TEXT",
    "ALTER TABLE detections ADD COLUMN current_name TEXT NOT NULL DEFAULT ''",
    f"""
    UPDATE detections SET verdict = ({_LAST.format("verdict", "detections")}),
        current_name = coalesce(({_LAST.format(_NAME, "detections")}), scientific_name)
    """,
    "CREATE TABLE heard (name TEXT NOT NULL, slot TEXT NOT NULL, n INTEGER NOT NULL, PRIMARY KEY (name, slot))"
    " WITHOUT ROWID",
    "CREATE TABLE heard_in_all (name TEXT PRIMARY KEY, n INTEGER NOT NULL) WITHOUT ROWID",
    *RECOUNT,
    "CREATE INDEX detections_in_order"
    " ON detections (time_utc, current_name, confidence, stream, clip, verdict) WHERE confirmed",
    "DROP INDEX detections_by_taxon",
    "CREATE INDEX detections_by_taxon"
    " ON detections (current_name, time_utc, confidence, stream, clip, verdict) WHERE confirmed",
    "CREATE INDEX detections_by_confidence ON detections (current_name, confidence, clip, verdict) WHERE confirmed",
    "CREATE INDEX detections_by_verdict"
    " ON detections (verdict, time_utc, current_name, confidence, stream, clip)"
    " WHERE confirmed AND verdict IS NOT NULL",
    "DROP INDEX detections_by_time",
    "CREATE INDEX streams_by_source ON streams (source)",
    f"""
    CREATE TRIGGER detection_added AFTER INSERT ON detections BEGIN
        UPDATE detections SET current_name = scientific_name WHERE id = new.id AND current_name = '';
        {_more("new").replace("new.current_name", "coalesce(nullif(new.current_name, ''), new.scientific_name)")};
    END
    """,
    f"""
    CREATE TRIGGER detection_removed AFTER DELETE ON detections BEGIN {_fewer("old")}; END
    """,
    f"""
    CREATE TRIGGER detection_changed AFTER UPDATE OF confirmed, time_utc, verdict, current_name ON detections
    WHEN old.current_name <> '' BEGIN {_fewer("old")}; {_more("new")}; END
    """,
    f"CREATE TRIGGER heard_added AFTER INSERT ON heard BEGIN {_in_all('+ new.n')}; END",
    f"CREATE TRIGGER heard_changed AFTER UPDATE OF n ON heard BEGIN {_in_all('+ new.n - old.n')}; END",
    f"CREATE TRIGGER heard_removed AFTER DELETE ON heard BEGIN {_in_all('- old.n', 'old')}; END",
    f"CREATE TRIGGER review_added AFTER INSERT ON reviews BEGIN {_reviewed('new')}; END",
    f"CREATE TRIGGER review_removed AFTER DELETE ON reviews BEGIN {_reviewed('old')}; END",
)
