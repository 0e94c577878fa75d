-- +goose Up

-- A repository's lifecycle policy, and when it is to be evaluated next (internal/core/lifecycle).
CREATE TABLE lifecycle_policies (
    repository_id     BIGINT NOT NULL PRIMARY KEY REFERENCES repositories (id) ON DELETE CASCADE,
    body              TEXT COLLATE "C" NOT NULL,
    updated_at        BIGINT NOT NULL,
    last_evaluated_at BIGINT NOT NULL,
    due_at            BIGINT NOT NULL,
    claimed_until     BIGINT NOT NULL -- somebody is at it until then; 0: nobody
);
CREATE INDEX lifecycle_policies_due ON lifecycle_policies (due_at);

-- The newest preview of each repository. An id is part of page tokens, so it must not come back.
CREATE TABLE lifecycle_previews (
    id            BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    repository_id BIGINT NOT NULL UNIQUE REFERENCES repositories (id) ON DELETE CASCADE,
    body          TEXT COLLATE "C" NOT NULL, -- the policy
    status        TEXT COLLATE "C" NOT NULL,
    started_at    BIGINT NOT NULL,
    ended_at      BIGINT NOT NULL,
    due_at        BIGINT NOT NULL, -- while in progress
    attempts      BIGINT NOT NULL,
    expiring      BIGINT NOT NULL, -- images
    transitioning BIGINT NOT NULL  -- images
);
CREATE INDEX lifecycle_previews_due ON lifecycle_previews (status, due_at);

CREATE TABLE lifecycle_preview_results (
    preview_id    BIGINT NOT NULL REFERENCES lifecycle_previews (id) ON DELETE CASCADE,
    seq           BIGINT NOT NULL,
    digest        TEXT COLLATE "C" NOT NULL,
    tags          TEXT COLLATE "C" NOT NULL, -- in order, with a space between them
    pushed_at     BIGINT NOT NULL,
    storage_class TEXT COLLATE "C" NOT NULL,
    action        TEXT COLLATE "C" NOT NULL,
    rule          BIGINT NOT NULL,
    PRIMARY KEY (preview_id, seq)
);
