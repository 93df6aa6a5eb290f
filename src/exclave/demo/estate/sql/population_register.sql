CREATE SCHEMA population;
COMMENT ON SCHEMA population IS 'Rahvastikuregister / Регистр населения: who lives in Vanemar';
CREATE DOMAIN population.personal_code AS text CHECK (VALUE ~ '^[1-8][0-9]{10}$');
CREATE TYPE population.sex AS ENUM ('female', 'male', 'unrecorded');
CREATE TYPE population.civil_status AS ENUM ('single', 'married', 'divorced', 'widowed');

CREATE TABLE population.settlement (
    settlement_code text NOT NULL,
    name text NOT NULL,
    county text NOT NULL,
    other_names jsonb NOT NULL DEFAULT '{}',
    founded date
);
CREATE TABLE population.address (
    address_id bigint GENERATED ALWAYS AS IDENTITY,
    settlement_code text NOT NULL,
    street text NOT NULL,
    house integer NOT NULL CHECK (house > 0),
    apartment text,
    place point
);
CREATE TABLE population.person (
    personal_code population.personal_code NOT NULL,
    given_names text NOT NULL,
    surname text NOT NULL,
    full_name text GENERATED ALWAYS AS (given_names || ' ' || surname) STORED,
    sex population.sex NOT NULL,
    born date NOT NULL,
    died date,
    civil_status population.civil_status,
    citizenship character(2) NOT NULL DEFAULT 'VM',
    languages text[] NOT NULL,
    contact jsonb,
    remark text,
    CONSTRAINT death_follows_birth CHECK (died >= born)
);
CREATE TABLE population.residence (
    personal_code population.personal_code NOT NULL,
    valid_from date NOT NULL,
    address_id bigint NOT NULL,
    valid_to date NOT NULL DEFAULT 'infinity',
    CONSTRAINT residence_lasts CHECK (valid_to >= valid_from)
);
CREATE TABLE population.kinship (
    parent_code population.personal_code NOT NULL,
    child_code population.personal_code NOT NULL,
    recorded timestamptz NOT NULL
);
-- after load
ALTER TABLE population.settlement ADD PRIMARY KEY (settlement_code);
ALTER TABLE population.address ADD PRIMARY KEY (address_id),
    ADD FOREIGN KEY (settlement_code) REFERENCES population.settlement;
ALTER TABLE population.person ADD PRIMARY KEY (personal_code);
ALTER TABLE population.residence ADD PRIMARY KEY (personal_code, valid_from),
    ADD FOREIGN KEY (personal_code) REFERENCES population.person
        ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    ADD FOREIGN KEY (address_id) REFERENCES population.address;
ALTER TABLE population.kinship ADD PRIMARY KEY (child_code, parent_code),
    ADD FOREIGN KEY (parent_code) REFERENCES population.person,
    ADD FOREIGN KEY (child_code) REFERENCES population.person;
CREATE INDEX person_by_name ON population.person (surname, given_names);
CREATE INDEX living_by_birth ON population.person (born) WHERE died IS NULL;
CREATE INDEX residence_by_address ON population.residence (address_id);
COMMENT ON TABLE population.person IS 'one row a person; ligilduvus ''piiratud'' 🔒';
COMMENT ON COLUMN population.person.remark IS E'free text as entered,\nwith tabs\tand line ends';

CREATE FUNCTION population.age_on(code population.personal_code, day date) RETURNS integer
    LANGUAGE sql STABLE AS $$
    SELECT extract(year FROM age(day, born))::integer
    FROM population.person WHERE personal_code = code
$$;
CREATE FUNCTION population.forbid_own_parent() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.parent_code = NEW.child_code THEN
        RAISE EXCEPTION 'person % cannot be their own parent', NEW.child_code;
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER no_own_parent BEFORE INSERT OR UPDATE ON population.kinship
    FOR EACH ROW EXECUTE FUNCTION population.forbid_own_parent();
CREATE VIEW population.resident AS
    SELECT p.personal_code, p.full_name, a.street, a.house, s.name AS settlement
    FROM population.person p
    JOIN population.residence r USING (personal_code)
    JOIN population.address a USING (address_id)
    JOIN population.settlement s USING (settlement_code)
    WHERE r.valid_to = 'infinity' AND p.died IS NULL;
CREATE MATERIALIZED VIEW population.settlement_size AS
    SELECT settlement, count(*) AS residents FROM population.resident GROUP BY settlement;
CREATE UNIQUE INDEX settlement_size_key ON population.settlement_size (settlement);
GRANT USAGE ON SCHEMA population TO registry_clerk, registry_auditor;
GRANT SELECT, INSERT, UPDATE ON population.person, population.residence TO registry_clerk;
GRANT SELECT (personal_code, born) ON population.person TO registry_auditor;
GRANT SELECT ON population.resident TO registry_auditor;
SELECT setval('population.address_address_id_seq', max(address_id)) FROM population.address;
