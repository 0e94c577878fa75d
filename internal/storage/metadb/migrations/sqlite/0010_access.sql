-- Who there is besides the account's root principal, and what they may do. See internal/core/access.

-- +goose Up

-- Users, roles and groups. Their names are unique whatever the case of their letters.
CREATE TABLE principals (
    id          TEXT NOT NULL PRIMARY KEY, -- AIDA…, AROA…, AGPA…
    kind        TEXT NOT NULL,
    name        TEXT NOT NULL,
    folded      TEXT NOT NULL, -- the name in lower case
    path        TEXT NOT NULL,
    arn         TEXT NOT NULL,
    description TEXT NOT NULL,
    trust       TEXT NOT NULL, -- a role's trust policy
    max_session INTEGER NOT NULL,           -- of a role, in seconds
    boundary    TEXT NOT NULL, -- a managed policy's ARN, or nothing
    created_at  INTEGER NOT NULL,
    used_at     INTEGER NOT NULL,
    used_region TEXT NOT NULL,
    UNIQUE (kind, folded)
) STRICT, WITHOUT ROWID;

CREATE TABLE memberships (
    group_id  TEXT NOT NULL REFERENCES principals (id) ON DELETE CASCADE,
    user_id   TEXT NOT NULL REFERENCES principals (id) ON DELETE CASCADE,
    PRIMARY KEY (user_id, group_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX memberships_group ON memberships (group_id, user_id);

CREATE TABLE inline_policies (
    principal_id TEXT NOT NULL REFERENCES principals (id) ON DELETE CASCADE,
    name         TEXT NOT NULL,
    document     TEXT NOT NULL,
    PRIMARY KEY (principal_id, name)
) STRICT, WITHOUT ROWID;

-- The account's own. AWS's are part of the program.
CREATE TABLE managed_policies (
    arn          TEXT NOT NULL PRIMARY KEY,
    id           TEXT NOT NULL, -- ANPA…
    name         TEXT NOT NULL,
    folded       TEXT NOT NULL UNIQUE,
    path         TEXT NOT NULL,
    description  TEXT NOT NULL,
    in_force     INTEGER NOT NULL, -- the number of the default version
    last_version INTEGER NOT NULL, -- the highest number that was ever given
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE managed_policy_versions (
    policy_arn TEXT NOT NULL REFERENCES managed_policies (arn) ON DELETE CASCADE,
    number     INTEGER NOT NULL,
    document   TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (policy_arn, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE attachments (
    principal_id TEXT NOT NULL REFERENCES principals (id) ON DELETE CASCADE,
    policy_arn   TEXT NOT NULL, -- of either kind
    PRIMARY KEY (principal_id, policy_arn)
) STRICT, WITHOUT ROWID;
CREATE INDEX attachments_policy ON attachments (policy_arn, principal_id);
CREATE INDEX principals_boundary ON principals (boundary, id) WHERE boundary <> '';

CREATE TABLE oidc_providers (
    arn         TEXT NOT NULL PRIMARY KEY,
    issuer      TEXT NOT NULL, -- with its scheme
    client_ids  TEXT NOT NULL, -- a JSON list
    thumbprints TEXT NOT NULL, -- a JSON list
    created_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Tags of principals, by unique id, and of policies and providers, by ARN.
CREATE TABLE access_tags (
    owner  TEXT NOT NULL,
    folded TEXT NOT NULL, -- the key in lower case
    key    TEXT NOT NULL,
    value  TEXT NOT NULL,
    PRIMARY KEY (owner, folded)
) STRICT, WITHOUT ROWID;

ALTER TABLE access_keys ADD COLUMN used_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE access_keys ADD COLUMN used_region TEXT NOT NULL DEFAULT '';
ALTER TABLE access_keys ADD COLUMN used_service TEXT NOT NULL DEFAULT '';
CREATE INDEX access_keys_user ON access_keys (user_id, created_at, id);

-- Whether the policy may allow everybody something, so that clients may come without credentials. For the policies that
-- are there, a guess which at worst says yes too often.
ALTER TABLE repository_policies ADD COLUMN open INTEGER NOT NULL DEFAULT 0;
UPDATE repository_policies SET open = (body LIKE '%"*"%');

-- Whoever changes who there is and what they may do holds its one row, so that limits hold.
CREATE TABLE access_turn (id INTEGER NOT NULL PRIMARY KEY) STRICT;
INSERT INTO access_turn (id) VALUES (1);
