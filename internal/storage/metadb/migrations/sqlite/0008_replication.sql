-- +goose Up

-- Images on their way to other registries, or there (internal/core/replicate). By name and digest: a row is about
-- whatever image is there when it is worked on.
CREATE TABLE replications (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    repository    TEXT    NOT NULL,
    digest        TEXT    NOT NULL,
    region        TEXT    NOT NULL,
    registry_id   TEXT    NOT NULL,
    tags          TEXT    NOT NULL, -- a JSON list: those to be sent
    pushed        INTEGER NOT NULL, -- wanted by a push, not by backfills alone
    status        TEXT    NOT NULL,
    failure_code  TEXT    NOT NULL, -- or empty
    version       INTEGER NOT NULL,
    attempts      INTEGER NOT NULL,
    due_at        INTEGER NOT NULL, -- 0: nothing is to be done
    claimed_until INTEGER NOT NULL, -- 0: nobody works on it
    UNIQUE (repository, digest, region, registry_id)
) STRICT;
CREATE INDEX replications_due ON replications (due_at, id) WHERE due_at > 0;

CREATE TABLE replication_backfills (
    seq              INTEGER PRIMARY KEY AUTOINCREMENT,
    id               TEXT    NOT NULL UNIQUE,
    region           TEXT    NOT NULL,
    registry_id      TEXT    NOT NULL,
    status           TEXT    NOT NULL,
    failure_code     TEXT    NOT NULL, -- or empty
    started_at       INTEGER NOT NULL,
    ended_at         INTEGER NOT NULL, -- 0: it goes on
    total            INTEGER NOT NULL, -- of results; -1 until they are all there
    after_repository TEXT    NOT NULL, -- while it is prepared: the last repository that was listed whole
    after_image      INTEGER NOT NULL  -- and the last image of the next one
) STRICT;
-- One at a time for a region.
CREATE UNIQUE INDEX replication_backfills_going_on ON replication_backfills (region) WHERE ended_at = 0;

CREATE TABLE replication_backfill_results (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    backfill     INTEGER NOT NULL REFERENCES replication_backfills (seq) ON DELETE CASCADE,
    repository   TEXT    NOT NULL,
    digest       TEXT    NOT NULL,
    tag          TEXT    NOT NULL, -- empty: the image without a tag
    is_index     INTEGER NOT NULL,
    status       TEXT    NOT NULL, -- WAITING, IN_PROGRESS, COMPLETE, FAILED
    failure_code TEXT    NOT NULL, -- or empty
    sub_failures TEXT    NOT NULL, -- a JSON list of an index's images' failure codes, or empty
    UNIQUE (backfill, repository, digest, tag)
) STRICT;
CREATE INDEX replication_backfill_results_status ON replication_backfill_results (backfill, status, id);
CREATE INDEX replication_backfill_results_image ON replication_backfill_results (repository, digest);
