UPDATE register.company SET name = name || ' OÜ' WHERE hashtext(name) %% 120 = %(day)s %% 120;
INSERT INTO register.officer (registry_code, personal_code, role, since)
    SELECT registry_code, '38001010000', 'likvideerija', '2025-11-03'
    FROM register.company ORDER BY registry_code LIMIT 100;
UPDATE register.officer SET until = '2025-11-03' WHERE officer_id %% 400 = %(day)s %% 400;
DELETE FROM annual.report_line WHERE hashtext(registry_code || line) %% 300 = %(day)s %% 300;
INSERT INTO annual.report_line
    SELECT registry_code, 2025, 'päev ' || %(day)s, '-0.0'::numeric, '{"new": [null]}', '{ }'
    FROM register.company ORDER BY registry_code LIMIT 150;
