UPDATE tax.taxpayer SET balance = balance - 1, status = 'in arrears'
    WHERE hashtext(taxpayer_code) %% 120 = %(day)s %% 120;
INSERT INTO tax.declaration (period, taxpayer_code, income, due, filed)
    SELECT '2025-11-01', taxpayer_code, 1000, 220, '2025-11-03 10:00+02'
    FROM tax.taxpayer ORDER BY taxpayer_code LIMIT 400;
UPDATE tax.declaration SET form = form || '{"corrected": true}'
    WHERE declaration_id %% 900 = %(day)s %% 900;
DELETE FROM tax.declaration WHERE declaration_id %% 1900 = %(day)s %% 1900;
