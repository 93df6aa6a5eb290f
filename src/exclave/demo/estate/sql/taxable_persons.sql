CREATE SCHEMA tax;
CREATE TYPE tax.status AS ENUM ('active', 'suspended', 'in arrears', 'closed');
CREATE TABLE tax.taxpayer (
    taxpayer_code text NOT NULL,
    is_company boolean NOT NULL,
    status tax.status NOT NULL,
    registered date NOT NULL,
    balance numeric(16, 2) NOT NULL DEFAULT 0,
    risk double precision
);
CREATE TABLE tax.declaration (
    declaration_id bigint NOT NULL,
    period date NOT NULL,
    taxpayer_code text NOT NULL,
    income numeric(14, 2) NOT NULL,
    due numeric(14, 2) NOT NULL,
    filed timestamptz,
    form jsonb
) PARTITION BY RANGE (period);
CREATE TABLE tax.declaration_2023 PARTITION OF tax.declaration
    FOR VALUES FROM ('2023-01-01') TO ('2024-01-01');
CREATE TABLE tax.declaration_2024 PARTITION OF tax.declaration
    FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE tax.declaration_2025 PARTITION OF tax.declaration
    FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE tax.declaration_default PARTITION OF tax.declaration DEFAULT;
CREATE SEQUENCE tax.declaration_number AS bigint START 1 OWNED BY tax.declaration.declaration_id;
-- after load
ALTER TABLE tax.taxpayer ADD PRIMARY KEY (taxpayer_code);
ALTER TABLE tax.declaration ADD PRIMARY KEY (period, declaration_id),
    ADD FOREIGN KEY (taxpayer_code) REFERENCES tax.taxpayer,
    ADD CHECK (due <= income OR income < 0);
ALTER TABLE tax.declaration ALTER declaration_id SET DEFAULT nextval('tax.declaration_number');
COMMENT ON TABLE tax.declaration_default IS 'years before the electronic register';
CREATE VIEW tax.arrears AS
    SELECT taxpayer_code, balance FROM tax.taxpayer WHERE balance < 0 ORDER BY balance;
CREATE FUNCTION tax.withhold(gross numeric, rate numeric DEFAULT 0.22) RETURNS numeric
    LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT round(gross * rate, 2) $$;
GRANT USAGE ON SCHEMA tax TO registry_clerk;
GRANT SELECT ON ALL TABLES IN SCHEMA tax TO registry_auditor;
ALTER DEFAULT PRIVILEGES IN SCHEMA tax GRANT SELECT ON TABLES TO registry_auditor;
SELECT setval('tax.declaration_number', max(declaration_id)) FROM tax.declaration;
