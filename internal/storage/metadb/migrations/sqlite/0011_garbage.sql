-- +goose Up

-- How what nothing needs goes (docs/design/gc.md): first a repository's layer, then the blob, then the bytes. Each has a time at
-- which it is looked at, and only what may be garbage has one, so that looking costs in proportion to that.

-- hidden: no image refers to the layer any more, and nobody has uploaded it since. due_at: when it is looked at whether an
-- image refers to it; 0: when the next image that refers to it goes.
ALTER TABLE layers ADD COLUMN hidden INTEGER NOT NULL DEFAULT 0;
ALTER TABLE layers ADD COLUMN due_at INTEGER NOT NULL DEFAULT 0;
UPDATE layers SET due_at = linked_at + 86400000000 WHERE NOT EXISTS (
    SELECT 1 FROM image_blobs b WHERE b.repository_id = layers.repository_id AND b.digest = layers.digest);
CREATE INDEX layers_due ON layers (due_at) WHERE due_at > 0;

-- due_at: when it is looked at whether anything has the blob. damaged_at: since when its bytes are known to be lost or others.
ALTER TABLE blobs ADD COLUMN due_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE blobs ADD COLUMN damaged_at INTEGER NOT NULL DEFAULT 0;
UPDATE blobs SET due_at = created_at + 86400000000 WHERE NOT EXISTS (SELECT 1 FROM layers l WHERE l.digest = blobs.digest);
CREATE INDEX blobs_due ON blobs (due_at) WHERE due_at > 0;

CREATE INDEX uploads_age ON uploads (updated_at);

-- Keys of the blob store whose bytes nothing refers to any more. A key in here never comes to use again.
CREATE TABLE garbage (
    blob_key   TEXT    NOT NULL PRIMARY KEY,
    size       INTEGER NOT NULL,
    blob_state BLOB, -- of an upload
    due_at     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX garbage_due ON garbage (due_at, blob_key);

-- Images that were deleted and can be restored. By the repository's name: they outlive it.
CREATE TABLE trash (
    id                INTEGER PRIMARY KEY AUTOINCREMENT,
    repository        TEXT    NOT NULL,
    digest            TEXT    NOT NULL,
    media_type        TEXT    NOT NULL,
    artifact_type     TEXT    NOT NULL,
    config_media_type TEXT    NOT NULL,
    subject           TEXT,
    size              INTEGER NOT NULL,
    manifest_size     INTEGER NOT NULL,
    pushed_at         INTEGER NOT NULL,
    last_pulled_at    INTEGER NOT NULL,
    archived          INTEGER NOT NULL,
    archived_at       INTEGER NOT NULL,
    activated_at      INTEGER NOT NULL,
    tags              TEXT    NOT NULL, -- those it had, with a space between them
    annotations       TEXT    NOT NULL,
    body              BLOB    NOT NULL,
    trashed_at        INTEGER NOT NULL,
    purge_at          INTEGER NOT NULL,
    actor             TEXT    NOT NULL,
    reason            TEXT    NOT NULL,
    went_with         TEXT    NOT NULL, -- the digest of the image that it went along with, or empty
    UNIQUE (repository, digest)
) STRICT;
CREATE INDEX trash_page ON trash (repository, id);
CREATE INDEX trash_purge ON trash (purge_at);
CREATE INDEX trash_company ON trash (repository, went_with) WHERE went_with <> '';

CREATE TABLE trash_blobs (
    trash_id INTEGER NOT NULL REFERENCES trash (id) ON DELETE CASCADE,
    digest   TEXT    NOT NULL REFERENCES blobs (digest),
    PRIMARY KEY (trash_id, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX trash_blobs_digest ON trash_blobs (digest);

-- Microseconds that deleted images stay restorable; -1: as long as the server's configuration says.
ALTER TABLE repositories ADD COLUMN trash_window INTEGER NOT NULL DEFAULT -1;
