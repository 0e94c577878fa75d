-- Times are microseconds since 1970 in UTC; 0 is never. The SQLite twin of this file makes the same
-- tables, columns and indexes; a test holds the two together. COLLATE "C" orders text by bytes, as SQLite does.

-- +goose Up

CREATE TABLE repositories (
    id           BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name         TEXT COLLATE "C" NOT NULL UNIQUE,
    created_at   BIGINT NOT NULL,
    mutability   TEXT COLLATE "C" NOT NULL,
    exclusions   TEXT COLLATE "C" NOT NULL, -- a JSON list of filters
    scan_on_push BOOLEAN NOT NULL
);

CREATE TABLE repository_tags (
    repository_id BIGINT NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
    key           TEXT COLLATE "C" NOT NULL,
    value         TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (repository_id, key)
);

-- What the blob store holds. A row is there before anything may refer to it, and never without bytes.
CREATE TABLE blobs (
    digest     TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    size       BIGINT NOT NULL,
    blob_key   TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE layers (
    repository_id BIGINT NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
    digest        TEXT COLLATE "C" NOT NULL REFERENCES blobs (digest),
    linked_at     BIGINT NOT NULL,
    PRIMARY KEY (repository_id, digest)
);
CREATE INDEX layers_digest ON layers (digest, repository_id);

CREATE TABLE uploads (
    repository_id BIGINT NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
    id            TEXT COLLATE "C" NOT NULL,
    actor         TEXT COLLATE "C" NOT NULL,
    started_at    BIGINT NOT NULL,
    updated_at    BIGINT NOT NULL,
    blob_key      TEXT COLLATE "C" NOT NULL,
    size          BIGINT NOT NULL,
    algorithm     TEXT COLLATE "C" NOT NULL,
    last_part     BIGINT NOT NULL,
    small_part    BOOLEAN NOT NULL,
    hash_state    BYTEA,
    blob_state    BYTEA,
    PRIMARY KEY (repository_id, id)
);

-- Tables below refer to an image by repository and id together, so that nothing can point into another
-- repository, and images_page serves both that and the listing by id.
CREATE TABLE images (
    id                BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    repository_id     BIGINT NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
    digest            TEXT COLLATE "C" NOT NULL,
    media_type        TEXT COLLATE "C" NOT NULL,
    artifact_type     TEXT COLLATE "C" NOT NULL,
    config_media_type TEXT COLLATE "C" NOT NULL,
    subject           TEXT COLLATE "C",
    size              BIGINT NOT NULL,
    manifest_size     BIGINT NOT NULL,
    pushed_at         BIGINT NOT NULL,
    last_pulled_at    BIGINT NOT NULL,
    UNIQUE (repository_id, digest)
);
CREATE UNIQUE INDEX images_page ON images (repository_id, id);
CREATE INDEX images_subject ON images (repository_id, subject, id) WHERE subject IS NOT NULL;

-- Apart from images, so that listings do not read the bytes.
CREATE TABLE manifests (
    image_id    BIGINT PRIMARY KEY REFERENCES images (id) ON DELETE CASCADE,
    annotations TEXT COLLATE "C" NOT NULL, -- a JSON object, or empty
    body        BYTEA NOT NULL
);

CREATE TABLE image_blobs (
    repository_id BIGINT NOT NULL,
    image_id      BIGINT NOT NULL,
    digest        TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (repository_id, image_id, digest),
    FOREIGN KEY (repository_id, image_id) REFERENCES images (repository_id, id) ON DELETE CASCADE
);
CREATE INDEX image_blobs_digest ON image_blobs (repository_id, digest);

CREATE TABLE image_children (
    repository_id BIGINT NOT NULL,
    image_id      BIGINT NOT NULL,
    digest        TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (repository_id, image_id, digest),
    FOREIGN KEY (repository_id, image_id) REFERENCES images (repository_id, id) ON DELETE CASCADE
);
CREATE INDEX image_children_digest ON image_children (repository_id, digest);

CREATE TABLE tags (
    repository_id BIGINT NOT NULL,
    name          TEXT COLLATE "C" NOT NULL,
    image_id      BIGINT NOT NULL,
    set_at        BIGINT NOT NULL,
    PRIMARY KEY (repository_id, name),
    FOREIGN KEY (repository_id, image_id) REFERENCES images (repository_id, id) ON DELETE CASCADE
);
CREATE INDEX tags_image ON tags (repository_id, image_id, name);

-- By the repository's name: history outlives tags, images and the repository.
CREATE TABLE tag_history (
    id          BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    repository  TEXT COLLATE "C" NOT NULL,
    tag         TEXT COLLATE "C" NOT NULL,
    from_digest TEXT COLLATE "C" NOT NULL, -- empty: the tag was new
    to_digest   TEXT COLLATE "C" NOT NULL, -- empty: the tag was deleted
    at          BIGINT NOT NULL,
    actor       TEXT COLLATE "C" NOT NULL
);
CREATE INDEX tag_history_tag ON tag_history (repository, tag, id);

CREATE TABLE access_keys (
    id            TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    sealed_secret BYTEA    NOT NULL,
    principal_arn TEXT COLLATE "C" NOT NULL,
    user_id       TEXT COLLATE "C" NOT NULL,
    root          BOOLEAN NOT NULL,
    created_at    BIGINT NOT NULL,
    active        BOOLEAN NOT NULL
);
CREATE INDEX access_keys_root ON access_keys (created_at, id) WHERE root;

CREATE TABLE secrets (
    name   TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    sealed BYTEA NOT NULL
);
