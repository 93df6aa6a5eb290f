CREATE SCHEMA identity;
CREATE TYPE identity.document_kind AS ENUM ('id-card', 'passport', 'residence permit', 'diplomatic');
CREATE TYPE identity.chip AS (maker text, serial bigint, certificate_ends date);
CREATE DOMAIN identity.document_number AS character varying(9) CHECK (VALUE ~ '^[A-Z]{2}[0-9]{7}$');

CREATE TABLE identity.document (
    document_id uuid NOT NULL,
    personal_code text NOT NULL,
    kind identity.document_kind NOT NULL,
    number identity.document_number NOT NULL,
    issued date NOT NULL,
    expires date NOT NULL,
    chip identity.chip,
    face_digest bytea NOT NULL,
    revoked_because text,
    CHECK (expires > issued)
);
CREATE TABLE identity.event (
    happened timestamptz NOT NULL,
    document_number text NOT NULL,
    what text NOT NULL,
    reader_address inet,
    reader_mac macaddr,
    flags bit(4)
) PARTITION BY RANGE (happened);
CREATE TABLE identity.event_2024 PARTITION OF identity.event
    FOR VALUES FROM ('2024-01-01 00:00+00') TO ('2025-01-01 00:00+00');
CREATE TABLE identity.event_2025 PARTITION OF identity.event
    FOR VALUES FROM ('2025-01-01 00:00+00') TO ('2026-01-01 00:00+00');
CREATE TABLE identity.event_other PARTITION OF identity.event DEFAULT;
-- after load
ALTER TABLE identity.document ADD PRIMARY KEY (document_id), ADD UNIQUE (number);
CREATE INDEX document_by_person ON identity.document USING hash (personal_code);
CREATE INDEX event_by_time ON identity.event USING brin (happened);
COMMENT ON TABLE identity.event IS 'use of documents; no key: two readers may report one moment';
ALTER TABLE identity.document ENABLE ROW LEVEL SECURITY;
ALTER TABLE identity.document FORCE ROW LEVEL SECURITY;
CREATE POLICY clerk_sees_ordinary ON identity.document FOR SELECT TO registry_clerk
    USING (kind <> 'diplomatic');
CREATE POLICY owner_does_all ON identity.document TO registry_owner USING (true);
CREATE FUNCTION identity.is_valid(wanted text, day date) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM identity.document
                   WHERE number = wanted AND day BETWEEN issued AND expires
                     AND revoked_because IS NULL)
$$;
CREATE VIEW identity.expiring WITH (security_barrier) AS
    SELECT number, personal_code, expires FROM identity.document WHERE expires < '2026-07-01';
GRANT USAGE ON SCHEMA identity TO registry_clerk;
GRANT SELECT ON identity.document, identity.event, identity.expiring TO registry_clerk;
