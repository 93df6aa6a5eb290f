CREATE SCHEMA e_file;
CREATE TYPE e_file.party AS ENUM ('claimant', 'defendant', 'witness', 'interpreter');
CREATE TABLE e_file.court_case (
    case_id uuid NOT NULL,
    number text NOT NULL,
    title text NOT NULL,
    opened timestamptz NOT NULL,
    closed timestamptz,
    keywords text[],
    facts jsonb
);
CREATE TABLE e_file.participant (
    case_id uuid NOT NULL,
    ordinal smallint NOT NULL,
    personal_code text NOT NULL,
    party e_file.party NOT NULL,
    statement text
);
CREATE TABLE e_file.hearing (
    hearing_id integer GENERATED ALWAYS AS IDENTITY,
    case_id uuid NOT NULL,
    during tstzrange NOT NULL,
    room text NOT NULL
);
CREATE TABLE e_file.filing (
    filing_id integer GENERATED ALWAYS AS IDENTITY,
    case_id uuid NOT NULL,
    media_type text NOT NULL,
    content oid NOT NULL
);
-- after load
ALTER TABLE e_file.court_case ADD PRIMARY KEY (case_id), ADD UNIQUE (number);
ALTER TABLE e_file.participant ADD PRIMARY KEY (case_id, ordinal),
    ADD FOREIGN KEY (case_id) REFERENCES e_file.court_case;
ALTER TABLE e_file.hearing ADD PRIMARY KEY (hearing_id),
    ADD FOREIGN KEY (case_id) REFERENCES e_file.court_case;
ALTER TABLE e_file.filing ADD PRIMARY KEY (filing_id),
    ADD FOREIGN KEY (case_id) REFERENCES e_file.court_case;
CREATE INDEX case_facts ON e_file.court_case USING gin (facts jsonb_path_ops);
COMMENT ON COLUMN e_file.filing.content IS 'large object';
-- Before PostgreSQL 18 there are no default privileges for large objects, so the one function
-- that makes them grants the capturing role its reading right.
CREATE FUNCTION e_file.store_filing(wanted uuid, media text, body bytea) RETURNS oid
    LANGUAGE plpgsql AS $$
DECLARE
    object oid := lo_from_bytea(0, body);
BEGIN
    EXECUTE format('GRANT SELECT ON LARGE OBJECT %s TO exclave_capture', object);
    EXECUTE format('COMMENT ON LARGE OBJECT %s IS %L', object, media);
    INSERT INTO e_file.filing (case_id, media_type, content) VALUES (wanted, media, object);
    RETURN object;
END
$$;
CREATE FUNCTION e_file.drop_content() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM lo_unlink(OLD.content);
    RETURN OLD;
END
$$;
CREATE TRIGGER filing_takes_content AFTER DELETE ON e_file.filing
    FOR EACH ROW EXECUTE FUNCTION e_file.drop_content();
CREATE VIEW e_file.open_case AS SELECT number, title FROM e_file.court_case WHERE closed IS NULL;
GRANT USAGE ON SCHEMA e_file TO registry_clerk;
GRANT SELECT ON e_file.open_case TO registry_clerk;
GRANT EXECUTE ON FUNCTION e_file.store_filing(uuid, text, bytea) TO registry_clerk;
SELECT setval('e_file.hearing_hearing_id_seq', max(hearing_id)) FROM e_file.hearing;
