-- Times are microseconds since 1970 in UTC; 0 is never. The PostgreSQL twin of this file makes the same
-- tables, columns and indexes; a test holds the two together.

-- +goose Up

-- AUTOINCREMENT, here and below: an id is a place in a listing, so a deleted row's id must not come back.
CREATE TABLE repositories (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    name         TEXT    NOT NULL UNIQUE,
    created_at   INTEGER NOT NULL,
    mutability   TEXT    NOT NULL,
    exclusions   TEXT    NOT NULL, -- a JSON list of filters
    scan_on_push INTEGER NOT NULL
) STRICT;

CREATE TABLE repository_tags (
    repository_id INTEGER NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
    key           TEXT    NOT NULL,
    value         TEXT    NOT NULL,
    PRIMARY KEY (repository_id, key)
) STRICT, WITHOUT ROWID;

-- What the blob store holds. A row is there before anything may refer to it, and never without bytes.
CREATE TABLE blobs (
    digest     TEXT    NOT NULL PRIMARY KEY,
    size       INTEGER NOT NULL,
    blob_key   TEXT    NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE layers (
    repository_id INTEGER NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
    digest        TEXT    NOT NULL REFERENCES blobs (digest),
    linked_at     INTEGER NOT NULL,
    PRIMARY KEY (repository_id, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX layers_digest ON layers (digest, repository_id);

CREATE TABLE uploads (
    repository_id INTEGER NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
    id            TEXT    NOT NULL,
    actor         TEXT    NOT NULL,
    started_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL,
    blob_key      TEXT    NOT NULL,
    size          INTEGER NOT NULL,
    algorithm     TEXT    NOT NULL,
    last_part     INTEGER NOT NULL,
    small_part    INTEGER NOT NULL,
    hash_state    BLOB,
    blob_state    BLOB,
    PRIMARY KEY (repository_id, id)
) STRICT;

-- Tables below refer to an image by repository and id together, so that nothing can point into another
-- repository, and images_page serves both that and the listing by id.
CREATE TABLE images (
    id                INTEGER PRIMARY KEY AUTOINCREMENT,
    repository_id     INTEGER NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
    digest            TEXT    NOT NULL,
    media_type        TEXT    NOT NULL,
    artifact_type     TEXT    NOT NULL,
    config_media_type TEXT    NOT NULL,
    subject           TEXT,
    size              INTEGER NOT NULL,
    manifest_size     INTEGER NOT NULL,
    pushed_at         INTEGER NOT NULL,
    last_pulled_at    INTEGER NOT NULL,
    UNIQUE (repository_id, digest)
) STRICT;
CREATE UNIQUE INDEX images_page ON images (repository_id, id);
CREATE INDEX images_subject ON images (repository_id, subject, id) WHERE subject IS NOT NULL;

-- Apart from images, so that listings do not read the bytes.
CREATE TABLE manifests (
    image_id    INTEGER PRIMARY KEY REFERENCES images (id) ON DELETE CASCADE,
    annotations TEXT NOT NULL, -- a JSON object, or empty
    body        BLOB NOT NULL
) STRICT;

CREATE TABLE image_blobs (
    repository_id INTEGER NOT NULL,
    image_id      INTEGER NOT NULL,
    digest        TEXT    NOT NULL,
    PRIMARY KEY (repository_id, image_id, digest),
    FOREIGN KEY (repository_id, image_id) REFERENCES images (repository_id, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX image_blobs_digest ON image_blobs (repository_id, digest);

CREATE TABLE image_children (
    repository_id INTEGER NOT NULL,
    image_id      INTEGER NOT NULL,
    digest        TEXT    NOT NULL,
    PRIMARY KEY (repository_id, image_id, digest),
    FOREIGN KEY (repository_id, image_id) REFERENCES images (repository_id, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX image_children_digest ON image_children (repository_id, digest);

CREATE TABLE tags (
    repository_id INTEGER NOT NULL,
    name          TEXT    NOT NULL,
    image_id      INTEGER NOT NULL,
    set_at        INTEGER NOT NULL,
    PRIMARY KEY (repository_id, name),
    FOREIGN KEY (repository_id, image_id) REFERENCES images (repository_id, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX tags_image ON tags (repository_id, image_id, name);

-- By the repository's name: history outlives tags, images and the repository.
CREATE TABLE tag_history (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    repository  TEXT    NOT NULL,
    tag         TEXT    NOT NULL,
    from_digest TEXT    NOT NULL, -- empty: the tag was new
    to_digest   TEXT    NOT NULL, -- empty: the tag was deleted
    at          INTEGER NOT NULL,
    actor       TEXT    NOT NULL
) STRICT;
CREATE INDEX tag_history_tag ON tag_history (repository, tag, id);

CREATE TABLE access_keys (
    id            TEXT    NOT NULL PRIMARY KEY,
    sealed_secret BLOB    NOT NULL,
    principal_arn TEXT    NOT NULL,
    user_id       TEXT    NOT NULL,
    root          INTEGER NOT NULL,
    created_at    INTEGER NOT NULL,
    active        INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX access_keys_root ON access_keys (created_at, id) WHERE root;

CREATE TABLE secrets (
    name   TEXT NOT NULL PRIMARY KEY,
    sealed BLOB NOT NULL
) STRICT, WITHOUT ROWID;
