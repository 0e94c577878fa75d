-- +goose Up

-- When the month's bill is made out next: one row.
CREATE TABLE reckonings (
    id     INTEGER PRIMARY KEY,
    due_at INTEGER NOT NULL
) STRICT;
INSERT INTO reckonings (id, due_at) VALUES (1, 0);

-- The thresholds of budgets that were told of, each once in a month.
CREATE TABLE budgets_told (
    budget    TEXT   NOT NULL,
    month     TEXT   NOT NULL, -- 2026-11
    threshold TEXT   NOT NULL, -- 80, forecast-100
    told_at   INTEGER NOT NULL,
    PRIMARY KEY (budget, month, threshold)
) STRICT, WITHOUT ROWID;
