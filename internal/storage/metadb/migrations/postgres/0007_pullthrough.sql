-- +goose Up

-- Which repositories are copies of an upstream registry's (internal/core/pullthrough).
CREATE TABLE pull_through_rules (
    prefix            TEXT COLLATE "C" NOT NULL PRIMARY KEY, -- without a slash at the end, or ROOT
    upstream          TEXT COLLATE "C" NOT NULL, -- as it was given
    kind              TEXT COLLATE "C" NOT NULL, -- ECR's name for such a registry, or empty
    upstream_prefix   TEXT COLLATE "C" NOT NULL, -- or ROOT
    credential        TEXT COLLATE "C" NOT NULL, -- an ARN, or empty
    ttl               BIGINT NOT NULL, -- microseconds
    created_at        BIGINT NOT NULL,
    updated_at        BIGINT NOT NULL
);

-- When an upstream was last asked what a tag points to, or which images refer to a digest. A tag that has no
-- row, or another digest than its row, was set here and is nobody else's to move.
CREATE TABLE pull_through_checks (
    repository_id BIGINT NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
    name          TEXT COLLATE "C" NOT NULL, -- a tag, or a digest
    digest        TEXT COLLATE "C" NOT NULL, -- what the tag pointed to; empty for a digest
    checked_at    BIGINT NOT NULL,
    PRIMARY KEY (repository_id, name)
);
