-- +goose Up

-- How what nothing needs goes (docs/design/gc.md): first a repository's layer, then the blob, then the bytes. Each has a time at
-- which it is looked at, and only what may be garbage has one, so that looking costs in proportion to that.

-- hidden: no image refers to the layer any more, and nobody has uploaded it since. due_at: when it is looked at whether an
-- image refers to it; 0: when the next image that refers to it goes.
ALTER TABLE layers ADD COLUMN hidden BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE layers ADD COLUMN due_at BIGINT NOT NULL DEFAULT 0;
UPDATE layers SET due_at = linked_at + 86400000000 WHERE NOT EXISTS (
    SELECT 1 FROM image_blobs b WHERE b.repository_id = layers.repository_id AND b.digest = layers.digest);
CREATE INDEX layers_due ON layers (due_at) WHERE due_at > 0;

-- due_at: when it is looked at whether anything has the blob. damaged_at: since when its bytes are known to be lost or others.
ALTER TABLE blobs ADD COLUMN due_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE blobs ADD COLUMN damaged_at BIGINT NOT NULL DEFAULT 0;
UPDATE blobs SET due_at = created_at + 86400000000 WHERE NOT EXISTS (SELECT 1 FROM layers l WHERE l.digest = blobs.digest);
CREATE INDEX blobs_due ON blobs (due_at) WHERE due_at > 0;

CREATE INDEX uploads_age ON uploads (updated_at);

-- Keys of the blob store whose bytes nothing refers to any more. A key in here never comes to use again.
CREATE TABLE garbage (
    blob_key   TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    size       BIGINT  NOT NULL,
    blob_state BYTEA, -- of an upload
    due_at     BIGINT  NOT NULL
);
CREATE INDEX garbage_due ON garbage (due_at, blob_key);

-- Images that were deleted and can be restored. By the repository's name: they outlive it.
CREATE TABLE trash (
    id                BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    repository        TEXT COLLATE "C" NOT NULL,
    digest            TEXT COLLATE "C" NOT NULL,
    media_type        TEXT COLLATE "C" NOT NULL,
    artifact_type     TEXT COLLATE "C" NOT NULL,
    config_media_type TEXT COLLATE "C" NOT NULL,
    subject           TEXT COLLATE "C",
    size              BIGINT  NOT NULL,
    manifest_size     BIGINT  NOT NULL,
    pushed_at         BIGINT  NOT NULL,
    last_pulled_at    BIGINT  NOT NULL,
    archived          BOOLEAN NOT NULL,
    archived_at       BIGINT  NOT NULL,
    activated_at      BIGINT  NOT NULL,
    tags              TEXT COLLATE "C" NOT NULL, -- those it had, with a space between them
    annotations       TEXT COLLATE "C" NOT NULL,
    body              BYTEA   NOT NULL,
    trashed_at        BIGINT  NOT NULL,
    purge_at          BIGINT  NOT NULL,
    actor             TEXT COLLATE "C" NOT NULL,
    reason            TEXT COLLATE "C" NOT NULL,
    went_with         TEXT COLLATE "C" NOT NULL, -- the digest of the image that it went along with, or empty
    UNIQUE (repository, digest)
);
CREATE INDEX trash_page ON trash (repository, id);
CREATE INDEX trash_purge ON trash (purge_at);
CREATE INDEX trash_company ON trash (repository, went_with) WHERE went_with <> '';

CREATE TABLE trash_blobs (
    trash_id BIGINT  NOT NULL REFERENCES trash (id) ON DELETE CASCADE,
    digest   TEXT COLLATE "C" NOT NULL REFERENCES blobs (digest),
    PRIMARY KEY (trash_id, digest)
);
CREATE INDEX trash_blobs_digest ON trash_blobs (digest);

-- Microseconds that deleted images stay restorable; -1: as long as the server's configuration says.
ALTER TABLE repositories ADD COLUMN trash_window BIGINT NOT NULL DEFAULT -1;
