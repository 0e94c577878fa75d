-- +goose Up

-- What a preview says of each image, in parcels of many images, which are read and go together. It takes the place of a table with a
-- row, and columns, for each image. Results live for a day: those that there are go, and their previews are as they are after that
-- day. A preview in progress begins anew at once, whoever is at it.
DROP TABLE lifecycle_preview_results;
CREATE TABLE lifecycle_preview_parcels (
    preview_id INTEGER NOT NULL REFERENCES lifecycle_previews (id) ON DELETE CASCADE,
    last_seq   INTEGER NOT NULL, -- of the last image in it
    results    TEXT    NOT NULL, -- a line for each image, of fields with tabs between them
    PRIMARY KEY (preview_id, last_seq)
) STRICT, WITHOUT ROWID;
UPDATE lifecycle_previews SET status = 'EXPIRED' WHERE status = 'COMPLETE';
UPDATE lifecycle_previews SET due_at = started_at, attempts = 0 WHERE status = 'IN_PROGRESS';

-- What a check has come across in the blob store, and what of that no row names. Where those are so many that none is removed any
-- more, they are held.
ALTER TABLE checks ADD COLUMN seen_bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE checks ADD COLUMN strays INTEGER NOT NULL DEFAULT 0;
ALTER TABLE checks ADD COLUMN stray_bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE checks ADD COLUMN strays_held INTEGER NOT NULL DEFAULT 0;
