-- +goose Up

-- Checks of what is stored (internal/core/fsck), and what they found.
CREATE TABLE checks (
    id          BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    actor       TEXT COLLATE "C" NOT NULL,
    scrub       BOOLEAN NOT NULL,
    repair      BOOLEAN NOT NULL,
    quick       BOOLEAN NOT NULL,
    rate        BIGINT  NOT NULL, -- bytes per second, or 0
    state       TEXT COLLATE "C" NOT NULL,
    reason      TEXT COLLATE "C" NOT NULL,
    started_at  BIGINT  NOT NULL,
    ended_at    BIGINT  NOT NULL,
    phase       TEXT COLLATE "C" NOT NULL,
    place       TEXT COLLATE "C" NOT NULL, -- in the phase's order
    blobs       BIGINT  NOT NULL,
    bytes       BIGINT  NOT NULL,
    images      BIGINT  NOT NULL,
    things      BIGINT  NOT NULL,
    total_blobs BIGINT  NOT NULL,
    total_bytes BIGINT  NOT NULL,
    attempts    BIGINT  NOT NULL,
    due_at      BIGINT  NOT NULL -- while somebody works on it: from when on others may
);
CREATE UNIQUE INDEX checks_running ON checks (scrub) WHERE state = 'RUNNING';

CREATE TABLE check_findings (
    id         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    check_id   BIGINT  NOT NULL REFERENCES checks (id) ON DELETE CASCADE,
    kind       TEXT COLLATE "C" NOT NULL,
    name       TEXT COLLATE "C" NOT NULL,
    digest     TEXT COLLATE "C" NOT NULL,
    blob_key   TEXT COLLATE "C" NOT NULL,
    repository TEXT COLLATE "C" NOT NULL,
    size       BIGINT  NOT NULL,
    detail     TEXT COLLATE "C" NOT NULL,
    needs      TEXT COLLATE "C" NOT NULL, -- a JSON list
    done       TEXT COLLATE "C" NOT NULL,
    found_at   BIGINT  NOT NULL,
    UNIQUE (check_id, kind, name)
);
CREATE INDEX check_findings_page ON check_findings (check_id, id);

-- What bytes in the store belong to.
CREATE INDEX IF NOT EXISTS blobs_key ON blobs (blob_key);
CREATE INDEX IF NOT EXISTS uploads_key ON uploads (blob_key);
