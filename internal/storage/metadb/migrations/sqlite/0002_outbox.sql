-- +goose Up

-- What happened, until everybody has been told (internal/core/event).
CREATE TABLE events (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    due_at   INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    body     TEXT    NOT NULL -- a JSON object
) STRICT;
CREATE INDEX events_due ON events (due_at, id);

-- Settings of the registry as a whole, each a document.
CREATE TABLE settings (
    name       TEXT    NOT NULL PRIMARY KEY,
    body       TEXT    NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
