CREATE SCHEMA register;
CREATE SCHEMA annual;
CREATE DOMAIN register.registry_code AS character(8) CHECK (VALUE ~ '^[0-9]{8}$');
CREATE TYPE register.legal_form AS ENUM ('osaühing', 'aktsiaselts', 'mittetulundusühing', 'füüsilisest isikust ettevõtja');

CREATE TABLE register.company (
    registry_code register.registry_code NOT NULL,
    name text NOT NULL,
    form register.legal_form NOT NULL,
    founded date NOT NULL,
    capital numeric(18, 2),
    parent_code register.registry_code,
    activities integer[] NOT NULL,
    name_words tsvector GENERATED ALWAYS AS (to_tsvector('simple'::regconfig, name)) STORED
);
CREATE TABLE register.officer (
    officer_id bigint GENERATED ALWAYS AS IDENTITY (START WITH 100 INCREMENT BY 1),
    registry_code register.registry_code NOT NULL,
    personal_code text NOT NULL,
    role text NOT NULL,
    since date NOT NULL,
    until date
);
CREATE TABLE annual.report_line (
    registry_code register.registry_code NOT NULL,
    year smallint NOT NULL,
    line text NOT NULL,
    amount numeric NOT NULL,
    detail jsonb,
    source json
);
-- after load
ALTER TABLE register.company ADD PRIMARY KEY (registry_code),
    ADD FOREIGN KEY (parent_code) REFERENCES register.company DEFERRABLE;
ALTER TABLE register.officer ADD PRIMARY KEY (officer_id),
    ADD FOREIGN KEY (registry_code) REFERENCES register.company;
ALTER TABLE annual.report_line ADD PRIMARY KEY (registry_code, year, line),
    ADD FOREIGN KEY (registry_code) REFERENCES register.company ON UPDATE CASCADE;
CREATE INDEX company_words ON register.company USING gin (name_words);
CREATE INDEX officer_by_person ON register.officer (personal_code) INCLUDE (registry_code);
CREATE UNIQUE INDEX company_name ON register.company (lower(name), registry_code);
COMMENT ON SCHEMA annual IS 'annual reports: 年度报告, годовые отчёты, التقارير السنوية';
CREATE FUNCTION annual.total(code text, wanted smallint) RETURNS numeric
    LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT coalesce(sum(amount), 0) FROM annual.report_line
    WHERE registry_code = code AND year = wanted
$$;
CREATE VIEW register.board AS
    SELECT c.name, o.personal_code, o.role FROM register.officer o
    JOIN register.company c USING (registry_code) WHERE o.until IS NULL;
GRANT USAGE ON SCHEMA register, annual TO PUBLIC;
GRANT SELECT ON register.company TO PUBLIC;
GRANT ALL ON annual.report_line TO registry_clerk WITH GRANT OPTION;
SELECT setval('register.officer_officer_id_seq', max(officer_id)) FROM register.officer;
