-- +goose Up

-- All columns: SQLite finds the tags that go with an image, by the foreign key, in this index then, and not by reading all tags of
-- the repository.
DROP INDEX tags_image;
CREATE INDEX tags_image ON tags (repository_id, image_id, name, set_at, archived);
