-- +goose Up

-- Which repositories are copies of an upstream registry's (internal/core/pullthrough).
CREATE TABLE pull_through_rules (
    prefix            TEXT    NOT NULL PRIMARY KEY, -- without a slash at the end, or ROOT
    upstream          TEXT    NOT NULL, -- as it was given
    kind              TEXT    NOT NULL, -- ECR's name for such a registry, or empty
    upstream_prefix   TEXT    NOT NULL, -- or ROOT
    credential        TEXT    NOT NULL, -- an ARN, or empty
    ttl               INTEGER NOT NULL, -- microseconds
    created_at        INTEGER NOT NULL,
    updated_at        INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- When an upstream was last asked what a tag points to, or which images refer to a digest. A tag that has no
-- row, or another digest than its row, was set here and is nobody else's to move.
CREATE TABLE pull_through_checks (
    repository_id INTEGER NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
    name          TEXT    NOT NULL, -- a tag, or a digest
    digest        TEXT    NOT NULL, -- what the tag pointed to; empty for a digest
    checked_at    INTEGER NOT NULL,
    PRIMARY KEY (repository_id, name)
) STRICT, WITHOUT ROWID;
