-- +goose Up

-- A repository's lifecycle policy, and when it is to be evaluated next (internal/core/lifecycle).
CREATE TABLE lifecycle_policies (
    repository_id     INTEGER NOT NULL PRIMARY KEY REFERENCES repositories (id) ON DELETE CASCADE,
    body              TEXT    NOT NULL,
    updated_at        INTEGER NOT NULL,
    last_evaluated_at INTEGER NOT NULL,
    due_at            INTEGER NOT NULL,
    claimed_until     INTEGER NOT NULL -- somebody is at it until then; 0: nobody
) STRICT;
CREATE INDEX lifecycle_policies_due ON lifecycle_policies (due_at);

-- The newest preview of each repository. AUTOINCREMENT: an id is part of page tokens, so it must not come back.
CREATE TABLE lifecycle_previews (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    repository_id INTEGER NOT NULL UNIQUE REFERENCES repositories (id) ON DELETE CASCADE,
    body          TEXT    NOT NULL, -- the policy
    status        TEXT    NOT NULL,
    started_at    INTEGER NOT NULL,
    ended_at      INTEGER NOT NULL,
    due_at        INTEGER NOT NULL, -- while in progress
    attempts      INTEGER NOT NULL,
    expiring      INTEGER NOT NULL, -- images
    transitioning INTEGER NOT NULL  -- images
) STRICT;
CREATE INDEX lifecycle_previews_due ON lifecycle_previews (status, due_at);

CREATE TABLE lifecycle_preview_results (
    preview_id    INTEGER NOT NULL REFERENCES lifecycle_previews (id) ON DELETE CASCADE,
    seq           INTEGER NOT NULL,
    digest        TEXT    NOT NULL,
    tags          TEXT    NOT NULL, -- in order, with a space between them
    pushed_at     INTEGER NOT NULL,
    storage_class TEXT    NOT NULL,
    action        TEXT    NOT NULL,
    rule          INTEGER NOT NULL,
    PRIMARY KEY (preview_id, seq)
) STRICT, WITHOUT ROWID;
