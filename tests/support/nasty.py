"""A schema that has what breaks dumps: corner values, odd names, every kind of key and object."""

from __future__ import annotations

ROLES = (
    "CREATE ROLE clerk",
    'CREATE ROLE "Od\'d Röle"',
    'GRANT clerk TO "Od\'d Röle"',
    "ALTER ROLE clerk SET work_mem TO '7MB'",
)
DROP_ROLES = ('DROP ROLE IF EXISTS "Od\'d Röle"', "DROP ROLE IF EXISTS clerk")

SCHEMA = r"""
CREATE SCHEMA "Sch""ema";
CREATE TYPE "Sch""ema".mood AS ENUM ('sad', 'it''s', 'ok');
CREATE TYPE "Sch""ema".pair AS (a int, b text);
CREATE DOMAIN "Sch""ema".small AS int CHECK (VALUE < 1000);

CREATE TABLE public.corner (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  f4 real, f8 double precision, n numeric, n2 numeric(10,2), b boolean,
  d date, t time, tt timetz, ts timestamp, tz timestamptz, iv interval,
  by bytea, tx text, c char(5), vc varchar(20), j json, jb jsonb, u uuid,
  ia int[], ta text[], r int4range, m money, ip inet, mac macaddr, bits bit varying,
  mood "Sch""ema".mood, pair "Sch""ema".pair, small "Sch""ema".small,
  tsv tsvector, pt point,
  twice numeric GENERATED ALWAYS AS (n * 2) STORED,
  "Odd ""col" text DEFAULT 'x');
INSERT INTO public.corner (f4, f8, n, d, ts, tz, iv) VALUES
  ('NaN', 'NaN', 'NaN', 'infinity', '-infinity', 'infinity', '-1 mon +2 days -03:04:05.678'),
  ('-0', '-0', 0.000, '4713-01-01 BC', '0044-03-15 12:00 BC', '1999-12-31 23:59:60+14', '0'),
  ('-infinity', '1.7976931348623157e308', 'Infinity', '5874897-12-31',
   '294276-12-31 23:59:59.999999', '4714-11-24 00:00:00+00 BC', '178000000 years'),
  (1.1, 0.1::float8 + 0.2::float8, 123456789012345678901234567890.12345678901234567890,
   '2000-02-29', '2000-02-29 00:00:00.000001', '2024-03-31 01:30:00+02', '1 year 2 mons'),
  ('1e-45', '5e-324', -0.0, NULL, NULL, NULL, NULL);
INSERT INTO public.corner (b, t, tt, by, tx, c, vc, j, jb, u, ia, ta, r, m, ip, mac, bits,
  mood, pair, small, tsv, pt, "Odd ""col") VALUES
  (true, '24:00:00', '12:00+15:59', '\x00ff5c0a09', E'tab\there\nline\\back\r\b\f\v\\N\\.', 'a',
   '', '{"a":  1, "a": 2}', '{"b": [1e400, "\u00e9"], "a": null}',
   'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11',
   '{{1,2},{3,NULL}}', ARRAY['', NULL, 'NULL', E'a"b\\c', 'Зdravo', '{,}'], '[1,10)',
   '-1234.56', '2001:db8::/32', '08:00:2b:01:02:03', B'10110', 'it''s',
   ROW(1, E'q"\t,'), 999, 'fat:2A cat', '(1.5,-0)', NULL),
  (false, '00:00:00', '00:00-15:59', '', '\N', '     ', 'NULL', 'null', 'null',
   '00000000-0000-0000-0000-000000000000', '{}', '{}', 'empty', '0', '10.0.0.1/8',
   NULL, B'', 'sad', ROW(NULL, NULL), NULL, '', '(NaN,Infinity)', '');
INSERT INTO public.corner (tx) SELECT '\.' UNION ALL SELECT '';

CREATE TABLE public.negative_keys (k int PRIMARY KEY, v text);
INSERT INTO public.negative_keys SELECT g, md5(g::text) FROM generate_series(-3000, 3000) g;

CREATE TABLE public.pair_key (v text, b text NOT NULL, a smallint NOT NULL, PRIMARY KEY (b, a));
INSERT INTO public.pair_key SELECT g::text, chr(g % 500 + 32) || E'\t\\' || (g % 7), g % 100
  FROM generate_series(1, 2000) g ON CONFLICT DO NOTHING;
INSERT INTO public.pair_key VALUES ('e', '', 1), ('p', 'ab', 1), ('p', 'a', 1), ('p', E'a\x01', 1);

CREATE TABLE public.uuid_key (k uuid PRIMARY KEY, v text);
INSERT INTO public.uuid_key SELECT md5(g::text)::uuid, g::text FROM generate_series(1, 1500) g;

CREATE TABLE public.numeric_key (k numeric PRIMARY KEY, v text);
INSERT INTO public.numeric_key SELECT g / 7.0, g::text FROM generate_series(-700, 700) g;
INSERT INTO public.numeric_key VALUES ('NaN', 'nan'), ('Infinity', 'inf');

CREATE TABLE public.composite_key (d date, k char(4), v int, PRIMARY KEY (d, k));
INSERT INTO public.composite_key SELECT '2000-01-01'::date + g % 97, g % 89, g
  FROM generate_series(1, 3000) g ON CONFLICT DO NOTHING;
INSERT INTO public.composite_key VALUES ('0001-01-01 BC', E'a\t', 1), ('infinity', 'a', 2);

CREATE TABLE public.no_key (v text, n int);
INSERT INTO public.no_key SELECT 'same', g % 3 FROM generate_series(1, 3000) g;
INSERT INTO public.no_key VALUES (NULL, NULL), ('', NULL), (NULL, NULL);

CREATE TABLE public.unique_only (a int NOT NULL UNIQUE, b int UNIQUE);
INSERT INTO public.unique_only SELECT g, NULL FROM generate_series(1, 50) g;
CREATE TABLE public.empty_one (k int PRIMARY KEY);
CREATE TABLE public.no_columns ();
INSERT INTO public.no_columns SELECT FROM generate_series(1, 3);
CREATE UNLOGGED TABLE public.unlogged_one (k int PRIMARY KEY);
INSERT INTO public.unlogged_one SELECT generate_series(1, 10);

CREATE TABLE public.parted (k int NOT NULL, at date NOT NULL, v text, PRIMARY KEY (k, at))
  PARTITION BY RANGE (at);
CREATE TABLE public.parted_old PARTITION OF public.parted
  FOR VALUES FROM (MINVALUE) TO ('2020-01-01');
CREATE TABLE public.parted_new (v text, at date NOT NULL, k int NOT NULL);
ALTER TABLE public.parted ATTACH PARTITION public.parted_new
  FOR VALUES FROM ('2020-01-01') TO (MAXVALUE);
INSERT INTO public.parted SELECT g, '2019-01-01'::date + g, 'p' FROM generate_series(1, 700) g;

CREATE TABLE public.base (k int PRIMARY KEY, v text);
CREATE TABLE public.derived (extra text) INHERITS (public.base);
INSERT INTO public.base VALUES (1, 'b');
INSERT INTO public.derived VALUES (1, 'd', 'e');

CREATE TABLE "Sch""ema"."Ta""ble" ("K'ey" text PRIMARY KEY, parent text
  REFERENCES "Sch""ema"."Ta""ble" DEFERRABLE, "select" int CHECK ("select" > 0));
INSERT INTO "Sch""ema"."Ta""ble" SELECT g::text, (g + 1)::text, g FROM generate_series(1, 9) g
  UNION ALL SELECT '10', NULL, 10;
ALTER TABLE "Sch""ema"."Ta""ble" ADD dropped int;
ALTER TABLE "Sch""ema"."Ta""ble" DROP dropped;
CREATE SEQUENCE public.counting START 5 INCREMENT -3 MINVALUE -9223372036854775808 MAXVALUE 5;
SELECT nextval('public.counting'), nextval('public.counting');
CREATE SEQUENCE public.untouched START 42;
CREATE INDEX odd_index ON "Sch""ema"."Ta""ble" (lower("K'ey")) WHERE "select" > 2;

CREATE VIEW public.seen AS SELECT k, v FROM public.negative_keys WHERE k > 0;
CREATE MATERIALIZED VIEW public.matted AS SELECT count(*) AS n FROM public.seen;
CREATE FUNCTION public.touch() RETURNS trigger LANGUAGE plpgsql AS $f$
BEGIN RAISE EXCEPTION 'no trigger may fire; ''quoted'' \ %', 1; END $f$;
CREATE FUNCTION public.atomic(a int) RETURNS int LANGUAGE sql BEGIN ATOMIC; SELECT a + 1; END;
CREATE TRIGGER touched BEFORE INSERT ON public.no_key FOR EACH ROW EXECUTE FUNCTION public.touch();
CREATE RULE ruled AS ON DELETE TO public.uuid_key DO ALSO
  (INSERT INTO public.no_key VALUES ('a;b', 1); INSERT INTO public.no_key VALUES ('c', 2));
COMMENT ON TABLE public.no_key IS 'a comment; with -- signs and ''quotes''';
GRANT SELECT ON public.no_key TO clerk;
ALTER TABLE public.negative_keys OWNER TO "Od'd Röle";

SELECT lo_from_bytea(70001, '\x00ff00');
SELECT lo_from_bytea(70002, '');
SELECT lo_from_bytea(70003, decode(repeat('ab', 700000), 'hex'));
GRANT SELECT ON LARGE OBJECT 70001 TO clerk;
ALTER LARGE OBJECT 70002 OWNER TO clerk;
"""
