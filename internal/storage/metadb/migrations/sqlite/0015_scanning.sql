-- +goose Up

-- A scan that waits, or that somebody is at, is due at some time; one that has ended is not. Scans that failed for want of a scanner
-- stay as they are until somebody asks again.
ALTER TABLE scans ADD COLUMN due_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE scans ADD COLUMN attempts INTEGER NOT NULL DEFAULT 0;
CREATE INDEX scans_due ON scans (due_at) WHERE due_at > 0;

-- What a layer says of packages, by the digest of its uncompressed tar, whatever number of images have it.
CREATE TABLE scan_layers (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    diff_id    TEXT    NOT NULL UNIQUE,
    revision   INTEGER NOT NULL, -- of the extractors
    problem    TEXT    NOT NULL, -- which limit was hit, or why it could not be read; empty: all of it was read
    facts      BLOB    NOT NULL, -- inventory.Layer, encoded
    scanned_at INTEGER NOT NULL
) STRICT;

-- Which blobs have unpacked to which layer. Only our own unpacking is believed, never an image's configuration.
CREATE TABLE scan_blobs (
    digest   TEXT    NOT NULL PRIMARY KEY,
    layer_id INTEGER NOT NULL REFERENCES scan_layers (id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX scan_blobs_layer ON scan_blobs (layer_id);

-- Each version of each package once. Advisories know it by source and source_version; in order of these, matching is a merge.
CREATE TABLE packages (
    id             INTEGER PRIMARY KEY AUTOINCREMENT,
    ecosystem      TEXT    NOT NULL, -- OSV's, without release: Debian, npm
    release        TEXT    NOT NULL, -- of the distribution: 12, v3.20; empty for languages
    source         TEXT    NOT NULL,
    source_version TEXT    NOT NULL,
    name           TEXT    NOT NULL, -- as installed
    version        TEXT    NOT NULL,
    arch           TEXT    NOT NULL,
    type           TEXT    NOT NULL, -- of package URLs: deb, npm
    UNIQUE (ecosystem, source, release, source_version, name, version, arch, type)
) STRICT;

-- Which advisories hit a package; no row: none does.
CREATE TABLE package_matches (
    package_id INTEGER PRIMARY KEY REFERENCES packages (id) ON DELETE CASCADE,
    matches    BLOB    NOT NULL -- ids of advisories and since when, packed
) STRICT;

-- Which packages an image has; images with the same packages in the same layers share a set.
CREATE TABLE package_sets (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    digest     TEXT    NOT NULL UNIQUE, -- of members and os
    os         TEXT    NOT NULL,        -- JSON, inventory.OS
    members    BLOB    NOT NULL,        -- ids of packages, places of layers and flags, packed
    vulnerable BLOB    NOT NULL,        -- ids of those of them that advisories hit, packed
    counts     TEXT    NOT NULL,        -- JSON, scan.Counts
    judged_at  INTEGER NOT NULL
) STRICT;

CREATE TABLE image_inventories (
    image_id   INTEGER PRIMARY KEY REFERENCES images (id) ON DELETE CASCADE,
    set_id     INTEGER NOT NULL REFERENCES package_sets (id),
    chain_id   TEXT    NOT NULL, -- of all layers together (image-spec, config.md)
    layers     BLOB    NOT NULL, -- ids of layers, lowest first, packed
    made_by    TEXT    NOT NULL, -- JSON, the instruction that made each, as this image says: another one's is none of its readers' business
    problem    TEXT    NOT NULL, -- why it is not all that the image has; empty: it is
    scanned_at INTEGER NOT NULL,
    epoch      INTEGER NOT NULL  -- of scan_judgement, when it was saved
) STRICT;
CREATE INDEX image_inventories_set ON image_inventories (set_id, image_id);
CREATE INDEX image_inventories_chain ON image_inventories (chain_id);

-- What a new judgement changed in a set, to be told of each of its images.
CREATE TABLE finding_changes (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    set_id     INTEGER NOT NULL REFERENCES package_sets (id) ON DELETE CASCADE,
    at         INTEGER NOT NULL,
    changes    TEXT    NOT NULL, -- JSON, scan.Changes
    epoch      INTEGER NOT NULL, -- images that were saved at a lower one are told
    last_image INTEGER NOT NULL  -- images up to this id have been told
) STRICT;

-- How far judging all sets by news of advisories has come: one row. Whoever saves an inventory holds it shared.
CREATE TABLE scan_judgement (
    id          INTEGER PRIMARY KEY,
    epoch       INTEGER NOT NULL, -- rises when what was read before may not be written any more
    phase       TEXT    NOT NULL, -- match, sets; empty: none is under way
    targets     TEXT    NOT NULL, -- JSON, the revision of each source that it goes by
    began       INTEGER NOT NULL, -- the epoch of its beginning: images that were saved before are told what changes
    upto        INTEGER NOT NULL, -- sets up to this id are counted anew
    counted     INTEGER NOT NULL, -- sets up to this id have been
    ended_at    INTEGER NOT NULL, -- the last one
    holder      TEXT    NOT NULL, -- who is at it
    lease_until INTEGER NOT NULL
) STRICT;
INSERT INTO scan_judgement VALUES (1, 1, '', '', 0, 0, 0, 0, '', 0);

-- What was known of packages before the judgement that is under way.
CREATE TABLE scan_journal (
    package_id INTEGER PRIMARY KEY REFERENCES packages (id) ON DELETE CASCADE,
    matches    BLOB    NOT NULL
) STRICT;

-- Where advisories come from. Rows of advisories count when from_rev <= revision < to_rev of their source, so that an import is
-- there at once, or not at all.
CREATE TABLE advisory_sources (
    source      TEXT    NOT NULL PRIMARY KEY, -- an ecosystem of OSV, or kev, epss, cvss
    revision    INTEGER NOT NULL,
    origin      TEXT    NOT NULL,
    advisories  INTEGER NOT NULL, -- how many count
    modified_at INTEGER NOT NULL, -- when the newest of them was changed by its publisher
    imported_at INTEGER NOT NULL,
    checked_at  INTEGER NOT NULL, -- when it was last looked whether there is something new
    validator   TEXT    NOT NULL, -- what a conditional request goes by
    judged_rev  INTEGER NOT NULL, -- up to which revision images are judged by it
    import_rev  INTEGER NOT NULL, -- the last revision that an import was given
    import_until INTEGER NOT NULL -- that import is under way, unless it died before this time; 0: none is
) STRICT, WITHOUT ROWID;

CREATE TABLE advisories (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    source        TEXT    NOT NULL,
    osv_id        TEXT    NOT NULL,
    from_rev      INTEGER NOT NULL,
    to_rev        INTEGER NOT NULL, -- 9223372036854775807: not replaced
    hash          TEXT    NOT NULL, -- of what the publisher says
    vulnerability TEXT    NOT NULL, -- the name that findings have: the CVE where there is one
    severity      TEXT    NOT NULL,
    score         INTEGER NOT NULL, -- CVSS base score in tenths, or 0
    modified_at   INTEGER NOT NULL,
    body          BLOB    NOT NULL, -- advisory.Advisory, encoded
    UNIQUE (source, osv_id, from_rev)
) STRICT;
CREATE INDEX advisories_vulnerability ON advisories (vulnerability);
CREATE INDEX advisories_to ON advisories (source, to_rev);
CREATE INDEX advisories_from ON advisories (source, from_rev);

CREATE TABLE advisory_packages (
    ecosystem   TEXT    NOT NULL, -- OSV's, without release
    name        TEXT    NOT NULL,
    advisory_id INTEGER NOT NULL REFERENCES advisories (id) ON DELETE CASCADE,
    seq         INTEGER NOT NULL, -- an advisory may name a package more than once
    release     TEXT    NOT NULL, -- empty: every one
    affected    TEXT    NOT NULL, -- JSON, advisory.Affected
    PRIMARY KEY (ecosystem, name, advisory_id, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX advisory_packages_advisory ON advisory_packages (advisory_id);

-- Whoever pushed an image that is a document about findings might speak for the repository's findings. It stays with the image in the trash.
ALTER TABLE images ADD COLUMN vouched INTEGER NOT NULL DEFAULT 0;
ALTER TABLE trash ADD COLUMN vouched INTEGER NOT NULL DEFAULT 0;

-- What was read of a document that is attached to an image. It goes with the document.
CREATE TABLE scan_documents (
    image_id      INTEGER PRIMARY KEY REFERENCES images (id) ON DELETE CASCADE, -- of the document
    repository_id INTEGER NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
    digest        TEXT    NOT NULL, -- of the document
    subject       TEXT    NOT NULL,
    actor         TEXT    NOT NULL, -- the ARN of who attached it
    problem       TEXT    NOT NULL, -- why nothing in it counts; empty: it does
    read_at       INTEGER NOT NULL
) STRICT;
CREATE INDEX scan_documents_subject ON scan_documents (repository_id, subject);

-- Imports that were asked for. One that waits, or that somebody is at, is due at some time; one that has ended is not.
CREATE TABLE advisory_imports (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    repository   TEXT    NOT NULL, -- where the archive is; empty: from where the server has its advisories
    digest       TEXT    NOT NULL,
    force        INTEGER NOT NULL,
    actor        TEXT    NOT NULL, -- empty: it was time
    requested_at INTEGER NOT NULL,
    due_at       INTEGER NOT NULL,
    ended_at     INTEGER NOT NULL,
    attempts     INTEGER NOT NULL,
    outcomes     TEXT    NOT NULL -- JSON, a list of scan.AdvisoryOutcome
) STRICT;

-- What somebody answers for, so that a finding does not stop anything for a time.
CREATE TABLE scan_exceptions (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    document_id     INTEGER NOT NULL REFERENCES scan_documents (image_id) ON DELETE CASCADE,
    repository_id   INTEGER NOT NULL,
    digest          TEXT    NOT NULL, -- of the image, or of an index that it is in; empty: every image
    vulnerability   TEXT    NOT NULL,
    aliases         TEXT    NOT NULL, -- JSON
    package         TEXT    NOT NULL, -- name; empty: any
    package_type    TEXT    NOT NULL, -- of package URLs; empty: any
    package_version TEXT    NOT NULL, -- empty: any
    status          TEXT    NOT NULL, -- OpenVEX: not_affected, fixed
    owner           TEXT    NOT NULL,
    reason          TEXT    NOT NULL,
    created_at      INTEGER NOT NULL,
    expires_at      INTEGER NOT NULL,
    told            INTEGER NOT NULL -- 1: that it has expired
) STRICT;
CREATE INDEX scan_exceptions_repository ON scan_exceptions (repository_id, digest);
CREATE INDEX scan_exceptions_document ON scan_exceptions (document_id);
CREATE INDEX scan_exceptions_expiry ON scan_exceptions (expires_at) WHERE told = FALSE;
