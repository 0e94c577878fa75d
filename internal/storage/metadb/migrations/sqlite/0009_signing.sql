-- +goose Up

-- The private keys of signing profiles, sealed under the master key.
CREATE TABLE signing_keys (
    profile    TEXT    NOT NULL PRIMARY KEY, -- an ARN
    name       TEXT    NOT NULL,             -- its last part
    sealed     BLOB    NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX signing_keys_name ON signing_keys (name, profile);

-- What is to be signed, and what became of it. It goes with its image.
CREATE TABLE signings (
    repository_id  INTEGER NOT NULL,
    image_id       INTEGER NOT NULL,
    profile        TEXT    NOT NULL,
    state          TEXT    NOT NULL, -- pending, done or failed
    due_at         INTEGER NOT NULL, -- while pending
    attempts       INTEGER NOT NULL,
    failure_code   TEXT    NOT NULL,
    failure_reason TEXT    NOT NULL,
    PRIMARY KEY (image_id, profile),
    FOREIGN KEY (repository_id, image_id) REFERENCES images (repository_id, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX signings_due ON signings (due_at) WHERE state = 'pending';
