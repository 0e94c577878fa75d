-- +goose Up

-- How repositories are made that nobody creates by name.
CREATE TABLE creation_templates (
    prefix     TEXT    NOT NULL PRIMARY KEY, -- without a slash at its end, or ROOT
    body       TEXT    NOT NULL,             -- a JSON object
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
