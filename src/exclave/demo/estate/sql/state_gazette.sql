PRAGMA journal_mode = WAL;
PRAGMA foreign_keys = ON;
CREATE TABLE act (
    act_id INTEGER PRIMARY KEY,
    citation TEXT NOT NULL UNIQUE,
    title TEXT NOT NULL,
    language TEXT NOT NULL CHECK (length(language) = 2),
    published TEXT NOT NULL,
    in_force_until TEXT,
    digest BLOB NOT NULL
) STRICT;
CREATE TABLE paragraph (
    act_id INTEGER NOT NULL REFERENCES act ON DELETE CASCADE,
    number INTEGER NOT NULL,
    body TEXT NOT NULL,
    weight REAL,
    PRIMARY KEY (act_id, number)
) WITHOUT ROWID;
CREATE TABLE amendment (
    amended INTEGER NOT NULL REFERENCES act,
    amending INTEGER NOT NULL REFERENCES act,
    anything
);
CREATE INDEX act_by_date ON act (published) WHERE in_force_until IS NULL;
CREATE VIEW act_in_force AS SELECT citation, title FROM act WHERE in_force_until IS NULL;
CREATE TRIGGER published_once BEFORE UPDATE OF published ON act
BEGIN
    SELECT RAISE(ABORT, 'an act is published once');
END;
