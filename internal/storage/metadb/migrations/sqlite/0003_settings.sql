-- +goose Up

-- Who may do what with a repository: a policy document, as it came.
CREATE TABLE repository_policies (
    repository_id INTEGER PRIMARY KEY REFERENCES repositories (id) ON DELETE CASCADE,
    body          TEXT    NOT NULL,
    updated_at    INTEGER NOT NULL
) STRICT;

-- Principals whose pulls leave last_pulled_at alone.
CREATE TABLE pull_exclusions (
    principal_arn TEXT    NOT NULL PRIMARY KEY,
    created_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Scans of images, the newest of each kind.
CREATE TABLE scans (
    image_id     INTEGER NOT NULL REFERENCES images (id) ON DELETE CASCADE,
    kind         TEXT    NOT NULL,
    status       TEXT    NOT NULL,
    description  TEXT    NOT NULL,
    requested_at INTEGER NOT NULL,
    changed_at   INTEGER NOT NULL, -- since when the status is what it is
    PRIMARY KEY (image_id, kind)
) STRICT, WITHOUT ROWID;
