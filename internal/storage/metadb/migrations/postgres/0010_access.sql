-- Who there is besides the account's root principal, and what they may do. See internal/core/access.

-- +goose Up

-- Users, roles and groups. Their names are unique whatever the case of their letters.
CREATE TABLE principals (
    id          TEXT COLLATE "C" NOT NULL PRIMARY KEY, -- AIDA…, AROA…, AGPA…
    kind        TEXT COLLATE "C" NOT NULL,
    name        TEXT COLLATE "C" NOT NULL,
    folded      TEXT COLLATE "C" NOT NULL, -- the name in lower case
    path        TEXT COLLATE "C" NOT NULL,
    arn         TEXT COLLATE "C" NOT NULL,
    description TEXT COLLATE "C" NOT NULL,
    trust       TEXT COLLATE "C" NOT NULL, -- a role's trust policy
    max_session BIGINT NOT NULL,           -- of a role, in seconds
    boundary    TEXT COLLATE "C" NOT NULL, -- a managed policy's ARN, or nothing
    created_at  BIGINT NOT NULL,
    used_at     BIGINT NOT NULL,
    used_region TEXT COLLATE "C" NOT NULL,
    UNIQUE (kind, folded)
);

CREATE TABLE memberships (
    group_id  TEXT COLLATE "C" NOT NULL REFERENCES principals (id) ON DELETE CASCADE,
    user_id   TEXT COLLATE "C" NOT NULL REFERENCES principals (id) ON DELETE CASCADE,
    PRIMARY KEY (user_id, group_id)
);
CREATE INDEX memberships_group ON memberships (group_id, user_id);

CREATE TABLE inline_policies (
    principal_id TEXT COLLATE "C" NOT NULL REFERENCES principals (id) ON DELETE CASCADE,
    name         TEXT COLLATE "C" NOT NULL,
    document     TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (principal_id, name)
);

-- The account's own. AWS's are part of the program.
CREATE TABLE managed_policies (
    arn          TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    id           TEXT COLLATE "C" NOT NULL, -- ANPA…
    name         TEXT COLLATE "C" NOT NULL,
    folded       TEXT COLLATE "C" NOT NULL UNIQUE,
    path         TEXT COLLATE "C" NOT NULL,
    description  TEXT COLLATE "C" NOT NULL,
    in_force     BIGINT NOT NULL, -- the number of the default version
    last_version BIGINT NOT NULL, -- the highest number that was ever given
    created_at   BIGINT NOT NULL,
    updated_at   BIGINT NOT NULL
);

CREATE TABLE managed_policy_versions (
    policy_arn TEXT COLLATE "C" NOT NULL REFERENCES managed_policies (arn) ON DELETE CASCADE,
    number     BIGINT NOT NULL,
    document   TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (policy_arn, number)
);

CREATE TABLE attachments (
    principal_id TEXT COLLATE "C" NOT NULL REFERENCES principals (id) ON DELETE CASCADE,
    policy_arn   TEXT COLLATE "C" NOT NULL, -- of either kind
    PRIMARY KEY (principal_id, policy_arn)
);
CREATE INDEX attachments_policy ON attachments (policy_arn, principal_id);
CREATE INDEX principals_boundary ON principals (boundary, id) WHERE boundary <> '';

CREATE TABLE oidc_providers (
    arn         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    issuer      TEXT COLLATE "C" NOT NULL, -- with its scheme
    client_ids  TEXT COLLATE "C" NOT NULL, -- a JSON list
    thumbprints TEXT COLLATE "C" NOT NULL, -- a JSON list
    created_at  BIGINT NOT NULL
);

-- Tags of principals, by unique id, and of policies and providers, by ARN.
CREATE TABLE access_tags (
    owner  TEXT COLLATE "C" NOT NULL,
    folded TEXT COLLATE "C" NOT NULL, -- the key in lower case
    key    TEXT COLLATE "C" NOT NULL,
    value  TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (owner, folded)
);

ALTER TABLE access_keys ADD COLUMN used_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE access_keys ADD COLUMN used_region TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE access_keys ADD COLUMN used_service TEXT COLLATE "C" NOT NULL DEFAULT '';
CREATE INDEX access_keys_user ON access_keys (user_id, created_at, id);

-- Whether the policy may allow everybody something, so that clients may come without credentials. For the policies that
-- are there, a guess which at worst says yes too often.
ALTER TABLE repository_policies ADD COLUMN open BOOLEAN NOT NULL DEFAULT FALSE;
UPDATE repository_policies SET open = (body LIKE '%"*"%');

-- Whoever changes who there is and what they may do holds its one row, so that limits hold.
CREATE TABLE access_turn (id BIGINT NOT NULL PRIMARY KEY);
INSERT INTO access_turn (id) VALUES (1);
