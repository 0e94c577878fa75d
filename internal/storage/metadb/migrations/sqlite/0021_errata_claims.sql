-- +goose Up

-- What an erratum of a distribution mends, which goes by a name of its own: how bad, and how exploited, these are, it is.
CREATE TABLE advisory_mends (
    cve         TEXT    NOT NULL,
    advisory_id INTEGER NOT NULL REFERENCES advisories (id) ON DELETE CASCADE,
    PRIMARY KEY (cve, advisory_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX advisory_mends_advisory ON advisory_mends (advisory_id);

-- Nobody has written that down of those that are there. The next import, for which each source is read whole, writes them anew.
UPDATE advisories SET hash = '' WHERE vulnerability NOT LIKE 'CVE-%' AND vulnerability NOT LIKE 'GHSA-%';
UPDATE advisory_sources SET validator = '';

-- JSON: ecosystems of which nothing but SBOMs tells that nobody answers for; empty: there are none.
ALTER TABLE image_inventories ADD COLUMN claimed TEXT NOT NULL DEFAULT '';

-- Of the extractors that have read the image; 0: not known, of images that were read before this was written down. And when one that
-- extractors of an earlier revision have read is read again, at the earliest.
ALTER TABLE image_inventories ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;
ALTER TABLE image_inventories ADD COLUMN renew_at INTEGER NOT NULL DEFAULT 0;
CREATE INDEX image_inventories_revision ON image_inventories (revision, image_id);
