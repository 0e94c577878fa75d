-- +goose Up

-- The feed: events that other programs may know of, numbered in the order that they were recorded in, and kept for a while
-- (internal/core/feed). An event has its number before anybody is handed it.
ALTER TABLE events ADD COLUMN fed INTEGER NOT NULL DEFAULT 0; -- 1: it is in the feed, or is none of those that go there
CREATE INDEX events_unfed ON events (id) WHERE fed = 0;

CREATE TABLE feed (
    number     INTEGER PRIMARY KEY,
    event_id   INTEGER NOT NULL UNIQUE, -- of the outbox
    at         INTEGER NOT NULL,
    kind       TEXT    NOT NULL,
    repository TEXT    NOT NULL,        -- empty: it is about none
    body       TEXT    NOT NULL         -- a JSON object
) STRICT;
CREATE INDEX feed_repository ON feed (repository, number);

-- One row, whose lock whoever gives numbers holds to the end of the transaction, so that they become visible in order.
CREATE TABLE feed_head (
    id        INTEGER NOT NULL PRIMARY KEY,
    number    INTEGER NOT NULL, -- the last that was given
    forgotten INTEGER NOT NULL  -- what has this number or a lower one is not kept any more
) STRICT, WITHOUT ROWID;
INSERT INTO feed_head (id, number, forgotten) VALUES (1, 0, 0);

-- Receivers of webhooks, by their names in the configuration, and how far each is.
CREATE TABLE feed_receivers (
    name         TEXT    NOT NULL PRIMARY KEY,
    number       INTEGER NOT NULL, -- what has this number or a lower one is delivered, set aside, missed, or late
    holder       TEXT    NOT NULL, -- the process that is at it
    held_until   INTEGER NOT NULL,
    paused_until INTEGER NOT NULL, -- the receiver asked to be left alone
    sent         INTEGER NOT NULL, -- how many events were delivered
    missed       INTEGER NOT NULL, -- how many were forgotten before they could be
    sent_at      INTEGER NOT NULL, -- when something was delivered last
    failed_at    INTEGER NOT NULL,
    failure      TEXT    NOT NULL  -- what happened then
) STRICT, WITHOUT ROWID;

-- Repositories whose events a receiver did not take: these go on by themselves, and the others ahead of them.
CREATE TABLE feed_late (
    receiver   TEXT    NOT NULL REFERENCES feed_receivers (name) ON DELETE CASCADE,
    repository TEXT    NOT NULL,
    number     INTEGER NOT NULL, -- as far as the repository is
    attempts   INTEGER NOT NULL, -- that failed since something was delivered
    due_at     INTEGER NOT NULL,
    failure    TEXT    NOT NULL,
    PRIMARY KEY (receiver, repository)
) STRICT, WITHOUT ROWID;
CREATE INDEX feed_late_due ON feed_late (receiver, due_at);

-- Events that a receiver does not want, however often it is asked.
CREATE TABLE feed_set_aside (
    receiver   TEXT    NOT NULL REFERENCES feed_receivers (name) ON DELETE CASCADE,
    number     INTEGER NOT NULL,
    repository TEXT    NOT NULL,
    at         INTEGER NOT NULL,
    reason     TEXT    NOT NULL,
    PRIMARY KEY (receiver, number)
) STRICT, WITHOUT ROWID;
