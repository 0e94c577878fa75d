-- +goose Up

-- How repositories are made that nobody creates by name.
CREATE TABLE creation_templates (
    prefix     TEXT COLLATE "C" NOT NULL PRIMARY KEY, -- without a slash at its end, or ROOT
    body       TEXT COLLATE "C" NOT NULL,             -- a JSON object
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
