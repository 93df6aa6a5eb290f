CREATE SCHEMA pension;
CREATE TABLE pension.insured (
    personal_code text NOT NULL,
    since date NOT NULL,
    pillar smallint NOT NULL CHECK (pillar BETWEEN 1 AND 3),
    units double precision NOT NULL,
    service interval,
    retires date
);
CREATE TABLE pension.contribution (
    personal_code text NOT NULL,
    month date NOT NULL,
    payer_code text NOT NULL,
    amount numeric(12, 2) NOT NULL
) PARTITION BY HASH (personal_code);
CREATE TABLE pension.contribution_0 PARTITION OF pension.contribution
    FOR VALUES WITH (MODULUS 3, REMAINDER 0);
CREATE TABLE pension.contribution_1 PARTITION OF pension.contribution
    FOR VALUES WITH (MODULUS 3, REMAINDER 1);
CREATE TABLE pension.contribution_2 PARTITION OF pension.contribution
    FOR VALUES WITH (MODULUS 3, REMAINDER 2);
-- after load
ALTER TABLE pension.insured ADD PRIMARY KEY (personal_code);
ALTER TABLE pension.contribution ADD PRIMARY KEY (personal_code, month, payer_code),
    ADD FOREIGN KEY (personal_code) REFERENCES pension.insured;
COMMENT ON TABLE pension.insured IS 'Pensionikindlustuse register; eläkevakuutusrekisteri';
CREATE PROCEDURE pension.index_units(factor double precision) LANGUAGE plpgsql AS $$
BEGIN
    UPDATE pension.insured SET units = units * factor;
END
$$;
CREATE VIEW pension.due_soon AS
    SELECT personal_code, retires FROM pension.insured WHERE retires < '2027-01-01';
GRANT USAGE ON SCHEMA pension TO registry_clerk, registry_auditor;
GRANT SELECT ON pension.insured TO registry_auditor;
