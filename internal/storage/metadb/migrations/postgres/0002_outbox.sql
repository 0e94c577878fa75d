-- +goose Up

-- What happened, until everybody has been told (internal/core/event).
CREATE TABLE events (
    id       BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    due_at   BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    body     TEXT COLLATE "C" NOT NULL -- a JSON object
);
CREATE INDEX events_due ON events (due_at, id);

-- Settings of the registry as a whole, each a document.
CREATE TABLE settings (
    name       TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    body       TEXT COLLATE "C" NOT NULL,
    updated_at BIGINT NOT NULL
);
