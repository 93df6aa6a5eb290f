UPDATE e_file.court_case SET closed = '2025-11-03 12:00+02'
    WHERE closed IS NULL AND hashtext(number) %% 60 = %(day)s %% 60;
INSERT INTO e_file.hearing (case_id, during, room)
    SELECT case_id, '["2025-12-01 09:00+02","2025-12-01 11:00+02")', 'II saal'
    FROM e_file.court_case ORDER BY number LIMIT 50;
UPDATE e_file.participant SET statement = repeat('uus tunnistus ', 500)
    WHERE ordinal = 1 AND hashtext(case_id::text) %% 120 = %(day)s %% 120;
DELETE FROM e_file.filing WHERE filing_id %% 40 = 1 + %(day)s %% 39;
SELECT lo_put(content, 0, 'muudetud') FROM e_file.filing WHERE filing_id %% 50 = 2;
SELECT e_file.store_filing(case_id, 'text/plain', convert_to(repeat(number || ' ✎ ', 2000), 'UTF8'))
    FROM (SELECT case_id, number FROM e_file.court_case ORDER BY number LIMIT 10) AS c;
