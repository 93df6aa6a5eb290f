CREATE SCHEMA treasury;
CREATE TABLE treasury.account (
    iban text NOT NULL,
    holder text NOT NULL,
    opened date NOT NULL
);
CREATE TABLE treasury.budget_span (
    programme text NOT NULL,
    pages int4range NOT NULL,
    years int4multirange,
    EXCLUDE USING gist (pages WITH &&)
);
CREATE TABLE treasury.payment (
    booked timestamptz NOT NULL,
    iban text NOT NULL,
    payee text NOT NULL,
    amount numeric(20, 4) NOT NULL,
    reference text,
    settled_after interval
);
-- after load
ALTER TABLE treasury.account ADD PRIMARY KEY (iban);
ALTER TABLE treasury.budget_span ADD PRIMARY KEY (programme);
ALTER TABLE treasury.payment ADD FOREIGN KEY (iban) REFERENCES treasury.account;
CREATE INDEX payment_by_time ON treasury.payment (booked);
COMMENT ON TABLE treasury.payment IS 'a ledger without a key: equal payments may occur twice';
CREATE FUNCTION treasury.balance(wanted text) RETURNS numeric LANGUAGE sql STABLE AS $$
    SELECT coalesce(sum(amount), 0) FROM treasury.payment WHERE iban = wanted
$$;
CREATE MATERIALIZED VIEW treasury.month_total AS
    SELECT date_trunc('month', booked, 'UTC') AS month, sum(amount) AS total
    FROM treasury.payment WHERE isfinite(booked) GROUP BY 1;
GRANT USAGE ON SCHEMA treasury TO registry_auditor;
GRANT SELECT ON treasury.payment, treasury.account TO registry_auditor;
