-- +goose Up

-- The private keys of signing profiles, sealed under the master key.
CREATE TABLE signing_keys (
    profile    TEXT COLLATE "C" NOT NULL PRIMARY KEY, -- an ARN
    name       TEXT COLLATE "C" NOT NULL,             -- its last part
    sealed     BYTEA NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX signing_keys_name ON signing_keys (name, profile);

-- What is to be signed, and what became of it. It goes with its image.
CREATE TABLE signings (
    repository_id  BIGINT NOT NULL,
    image_id       BIGINT NOT NULL,
    profile        TEXT COLLATE "C" NOT NULL,
    state          TEXT COLLATE "C" NOT NULL, -- pending, done or failed
    due_at         BIGINT NOT NULL, -- while pending
    attempts       BIGINT NOT NULL,
    failure_code   TEXT COLLATE "C" NOT NULL,
    failure_reason TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (image_id, profile),
    FOREIGN KEY (repository_id, image_id) REFERENCES images (repository_id, id) ON DELETE CASCADE
);
CREATE INDEX signings_due ON signings (due_at) WHERE state = 'pending';
