-- +goose Up

-- How far each process's journal has been read, and what its tree is by then (internal/core/audit).
CREATE TABLE audit_logs (
    id         TEXT    NOT NULL PRIMARY KEY,
    size       INTEGER NOT NULL, -- records
    tree       BLOB    NOT NULL, -- hashes of the subtrees, packed
    checkpoint TEXT    NOT NULL, -- a signed note
    at         INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Some of the checkpoints that were, for as long as there is a log.
CREATE TABLE audit_checkpoints (
    log_id TEXT    NOT NULL,
    size   INTEGER NOT NULL,
    note   TEXT    NOT NULL,
    at     INTEGER NOT NULL,
    PRIMARY KEY (log_id, size)
) STRICT, WITHOUT ROWID;

-- Records to be searched, in blocks of many.
CREATE TABLE audit_blocks (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    log_id   TEXT    NOT NULL,
    first    INTEGER NOT NULL, -- number of the first record
    records  INTEGER NOT NULL,
    from_at  INTEGER NOT NULL, -- of the earliest
    until_at INTEGER NOT NULL  -- of the latest
) STRICT;
CREATE INDEX audit_blocks_until ON audit_blocks (until_at, id, from_at);
CREATE INDEX audit_blocks_log ON audit_blocks (log_id, first);

CREATE TABLE audit_block_bodies (
    block_id INTEGER PRIMARY KEY REFERENCES audit_blocks (id) ON DELETE CASCADE,
    requests BLOB NOT NULL, -- a filter that knows the ids of its requests
    terms    BLOB NOT NULL, -- its terms, packed
    data     BLOB NOT NULL  -- the records, a line each, compressed
) STRICT;

-- Which blocks have a record with a term. Terms are hashes of what records are found by.
CREATE TABLE audit_terms (
    term     INTEGER NOT NULL,
    block_id INTEGER NOT NULL,
    PRIMARY KEY (term, block_id)
) STRICT, WITHOUT ROWID;
