UPDATE pension.insured SET units = units + 0.1 WHERE hashtext(personal_code) %% 120 = %(day)s %% 120;
INSERT INTO pension.contribution
    SELECT personal_code, '2025-11-01', '10000007', 432.10
    FROM pension.insured ORDER BY personal_code LIMIT 400 ON CONFLICT DO NOTHING;
DELETE FROM pension.contribution WHERE hashtext(personal_code || month) %% 300 = %(day)s %% 300;
