-- +goose Up

-- Images on their way to other registries, or there (internal/core/replicate). By name and digest: a row is about
-- whatever image is there when it is worked on.
CREATE TABLE replications (
    id            BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    repository    TEXT COLLATE "C" NOT NULL,
    digest        TEXT COLLATE "C" NOT NULL,
    region        TEXT COLLATE "C" NOT NULL,
    registry_id   TEXT COLLATE "C" NOT NULL,
    tags          TEXT COLLATE "C" NOT NULL, -- a JSON list: those to be sent
    pushed        BOOLEAN NOT NULL, -- wanted by a push, not by backfills alone
    status        TEXT COLLATE "C" NOT NULL,
    failure_code  TEXT COLLATE "C" NOT NULL, -- or empty
    version       BIGINT NOT NULL,
    attempts      BIGINT NOT NULL,
    due_at        BIGINT NOT NULL, -- 0: nothing is to be done
    claimed_until BIGINT NOT NULL, -- 0: nobody works on it
    UNIQUE (repository, digest, region, registry_id)
);
CREATE INDEX replications_due ON replications (due_at, id) WHERE due_at > 0;

CREATE TABLE replication_backfills (
    seq              BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id               TEXT COLLATE "C" NOT NULL UNIQUE,
    region           TEXT COLLATE "C" NOT NULL,
    registry_id      TEXT COLLATE "C" NOT NULL,
    status           TEXT COLLATE "C" NOT NULL,
    failure_code     TEXT COLLATE "C" NOT NULL, -- or empty
    started_at       BIGINT NOT NULL,
    ended_at         BIGINT NOT NULL, -- 0: it goes on
    total            BIGINT NOT NULL, -- of results; -1 until they are all there
    after_repository TEXT COLLATE "C" NOT NULL, -- while it is prepared: the last repository that was listed whole
    after_image      BIGINT NOT NULL  -- and the last image of the next one
);
-- One at a time for a region.
CREATE UNIQUE INDEX replication_backfills_going_on ON replication_backfills (region) WHERE ended_at = 0;

CREATE TABLE replication_backfill_results (
    id           BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    backfill     BIGINT NOT NULL REFERENCES replication_backfills (seq) ON DELETE CASCADE,
    repository   TEXT COLLATE "C" NOT NULL,
    digest       TEXT COLLATE "C" NOT NULL,
    tag          TEXT COLLATE "C" NOT NULL, -- empty: the image without a tag
    is_index     BOOLEAN NOT NULL,
    status       TEXT COLLATE "C" NOT NULL, -- WAITING, IN_PROGRESS, COMPLETE, FAILED
    failure_code TEXT COLLATE "C" NOT NULL, -- or empty
    sub_failures TEXT COLLATE "C" NOT NULL, -- a JSON list of an index's images' failure codes, or empty
    UNIQUE (backfill, repository, digest, tag)
);
CREATE INDEX replication_backfill_results_status ON replication_backfill_results (backfill, status, id);
CREATE INDEX replication_backfill_results_image ON replication_backfill_results (repository, digest);
