-- +goose Up

-- Checks of what is stored (internal/core/fsck), and what they found.
CREATE TABLE checks (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    actor       TEXT    NOT NULL,
    scrub       INTEGER NOT NULL,
    repair      INTEGER NOT NULL,
    quick       INTEGER NOT NULL,
    rate        INTEGER NOT NULL, -- bytes per second, or 0
    state       TEXT    NOT NULL,
    reason      TEXT    NOT NULL,
    started_at  INTEGER NOT NULL,
    ended_at    INTEGER NOT NULL,
    phase       TEXT    NOT NULL,
    place       TEXT    NOT NULL, -- in the phase's order
    blobs       INTEGER NOT NULL,
    bytes       INTEGER NOT NULL,
    images      INTEGER NOT NULL,
    things      INTEGER NOT NULL,
    total_blobs INTEGER NOT NULL,
    total_bytes INTEGER NOT NULL,
    attempts    INTEGER NOT NULL,
    due_at      INTEGER NOT NULL -- while somebody works on it: from when on others may
) STRICT;
CREATE UNIQUE INDEX checks_running ON checks (scrub) WHERE state = 'RUNNING';

CREATE TABLE check_findings (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    check_id   INTEGER NOT NULL REFERENCES checks (id) ON DELETE CASCADE,
    kind       TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    digest     TEXT    NOT NULL,
    blob_key   TEXT    NOT NULL,
    repository TEXT    NOT NULL,
    size       INTEGER NOT NULL,
    detail     TEXT    NOT NULL,
    needs      TEXT    NOT NULL, -- a JSON list
    done       TEXT    NOT NULL,
    found_at   INTEGER NOT NULL,
    UNIQUE (check_id, kind, name)
) STRICT;
CREATE INDEX check_findings_page ON check_findings (check_id, id);

-- What bytes in the store belong to.
CREATE INDEX IF NOT EXISTS blobs_key ON blobs (blob_key);
CREATE INDEX IF NOT EXISTS uploads_key ON uploads (blob_key);
