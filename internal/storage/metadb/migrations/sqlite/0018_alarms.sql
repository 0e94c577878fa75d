-- +goose Up

-- Alarms: what each watches, and the state that it is in.
CREATE TABLE alarms (
    name            TEXT    NOT NULL PRIMARY KEY,
    body            TEXT    NOT NULL, -- what is watched: a JSON object
    tags            TEXT    NOT NULL, -- a JSON list
    state           TEXT    NOT NULL, -- OK, ALARM or INSUFFICIENT_DATA
    reason          TEXT    NOT NULL,
    reason_data     TEXT    NOT NULL, -- a JSON object, or empty
    configured_at   INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL,
    transitioned_at INTEGER NOT NULL,
    revision        INTEGER NOT NULL, -- counts changes
    every           INTEGER NOT NULL, -- between two looks at it, in microseconds
    due_at          INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX alarms_due ON alarms (due_at);

-- What happened to alarms, those that are gone as well.
CREATE TABLE alarm_history (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    name    TEXT    NOT NULL,
    at      INTEGER NOT NULL,
    kind    TEXT    NOT NULL, -- ConfigurationUpdate, StateUpdate or Action
    summary TEXT    NOT NULL,
    data    TEXT    NOT NULL -- a JSON object
) STRICT;
CREATE INDEX alarm_history_name ON alarm_history (name, id);
CREATE INDEX alarm_history_at ON alarm_history (at);

-- Notices on their way to targets, and what became of them. A notice goes to a target once.
CREATE TABLE deliveries (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id   INTEGER NOT NULL, -- of the outbox
    target     TEXT    NOT NULL,
    notice     TEXT    NOT NULL, -- a JSON object
    state      TEXT    NOT NULL, -- pending, delivered or failed
    created_at INTEGER NOT NULL,
    due_at     INTEGER NOT NULL, -- while pending
    attempts   INTEGER NOT NULL,
    ended_at   INTEGER NOT NULL, -- or 0
    problem    TEXT    NOT NULL, -- of the last attempt, or empty
    UNIQUE (event_id, target)
) STRICT;
CREATE INDEX deliveries_due ON deliveries (target, due_at) WHERE state = 'pending';
CREATE INDEX deliveries_pending ON deliveries (created_at) WHERE state = 'pending';
CREATE INDEX deliveries_ended ON deliveries (ended_at) WHERE state <> 'pending';
