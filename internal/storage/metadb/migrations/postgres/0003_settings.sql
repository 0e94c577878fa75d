-- +goose Up

-- Who may do what with a repository: a policy document, as it came.
CREATE TABLE repository_policies (
    repository_id BIGINT PRIMARY KEY REFERENCES repositories (id) ON DELETE CASCADE,
    body          TEXT COLLATE "C" NOT NULL,
    updated_at    BIGINT NOT NULL
);

-- Principals whose pulls leave last_pulled_at alone.
CREATE TABLE pull_exclusions (
    principal_arn TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    created_at    BIGINT NOT NULL
);

-- Scans of images, the newest of each kind.
CREATE TABLE scans (
    image_id     BIGINT NOT NULL REFERENCES images (id) ON DELETE CASCADE,
    kind         TEXT COLLATE "C" NOT NULL,
    status       TEXT COLLATE "C" NOT NULL,
    description  TEXT COLLATE "C" NOT NULL,
    requested_at BIGINT NOT NULL,
    changed_at   BIGINT NOT NULL, -- since when the status is what it is
    PRIMARY KEY (image_id, kind)
);
