CREATE SCHEMA cadastre;
CREATE TYPE cadastre.land_use AS ENUM ('residential', 'arable', 'forest', 'water', 'state defence');
CREATE TABLE cadastre.parcel (
    cadastral_code text NOT NULL,
    settlement_code text NOT NULL,
    area_m2 numeric(14, 2) NOT NULL,
    uses cadastre.land_use[] NOT NULL,
    boundary polygon NOT NULL,
    middle point NOT NULL,
    height_m double precision,
    soil_score real,
    taxable_value numeric,
    area_ha numeric GENERATED ALWAYS AS (area_m2 / 10000) STORED,
    note text
);
-- after load
ALTER TABLE cadastre.parcel ADD PRIMARY KEY (cadastral_code);
CREATE INDEX parcel_middle ON cadastre.parcel USING gist (middle);
CREATE INDEX parcel_uses ON cadastre.parcel USING gin (uses);
COMMENT ON COLUMN cadastre.parcel.height_m IS 'NaN: measured, unusable; NULL: never measured';
CREATE VIEW cadastre.wet_parcel AS
    SELECT cadastral_code, area_ha FROM cadastre.parcel WHERE 'water' = ANY (uses);
CREATE MATERIALIZED VIEW cadastre.settlement_area AS
    SELECT settlement_code, sum(area_ha) AS hectares FROM cadastre.parcel GROUP BY settlement_code;
GRANT USAGE ON SCHEMA cadastre TO PUBLIC;
GRANT SELECT ON cadastre.parcel TO PUBLIC;
