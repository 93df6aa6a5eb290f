UPDATE land.ownership SET basis = 'pärimine ' || %(day)s WHERE part_id %% 450 = %(day)s %% 450;
DELETE FROM land.encumbrance WHERE part_id %% 250 = %(day)s %% 250;
INSERT INTO land.journal (received, part_id, applicant, resolution, handling)
    SELECT timestamp '2025-11-03 09:00' + n * interval '1 min', n, 'notar', NULL, interval '1 day'
    FROM generate_series(1, 100) AS n;
UPDATE land.register_part SET title_text = title_text || ' †' WHERE part_id %% 400 = %(day)s %% 400;
