-- +goose Up

-- How far each process's journal has been read, and what its tree is by then (internal/core/audit).
CREATE TABLE audit_logs (
    id         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    size       BIGINT NOT NULL, -- records
    tree       BYTEA NOT NULL, -- hashes of the subtrees, packed
    checkpoint TEXT COLLATE "C" NOT NULL, -- a signed note
    at         BIGINT NOT NULL
);

-- Some of the checkpoints that were, for as long as there is a log.
CREATE TABLE audit_checkpoints (
    log_id TEXT COLLATE "C" NOT NULL,
    size   BIGINT NOT NULL,
    note   TEXT COLLATE "C" NOT NULL,
    at     BIGINT NOT NULL,
    PRIMARY KEY (log_id, size)
);

-- Records to be searched, in blocks of many.
CREATE TABLE audit_blocks (
    id       BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    log_id   TEXT COLLATE "C" NOT NULL,
    first    BIGINT NOT NULL, -- number of the first record
    records  BIGINT NOT NULL,
    from_at  BIGINT NOT NULL, -- of the earliest
    until_at BIGINT NOT NULL  -- of the latest
);
CREATE INDEX audit_blocks_until ON audit_blocks (until_at, id, from_at);
CREATE INDEX audit_blocks_log ON audit_blocks (log_id, first);

CREATE TABLE audit_block_bodies (
    block_id BIGINT PRIMARY KEY REFERENCES audit_blocks (id) ON DELETE CASCADE,
    requests BYTEA NOT NULL, -- a filter that knows the ids of its requests
    terms    BYTEA NOT NULL, -- its terms, packed
    data     BYTEA NOT NULL  -- the records, a line each, compressed
);

-- Which blocks have a record with a term. Terms are hashes of what records are found by.
CREATE TABLE audit_terms (
    term     BIGINT NOT NULL,
    block_id BIGINT NOT NULL,
    PRIMARY KEY (term, block_id)
);
