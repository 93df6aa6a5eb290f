UPDATE act SET in_force_until = '2025-11-03' WHERE act_id % 211 = :day % 211;
DELETE FROM paragraph WHERE act_id % 307 = :day % 307 AND number = 1;
INSERT INTO act (citation, title, language, published, digest)
    SELECT 'RT I, 03.11.2025, ' || :day || '/' || act_id, 'Uus ' || title, language, '2025-11-03', zeroblob(32)
    FROM act WHERE act_id <= 12;
INSERT INTO paragraph (act_id, number, body, weight)
    SELECT act_id, 1, '§ 1. ' || title || ' 🆕', 0.5 FROM act WHERE published = '2025-11-03'
    ON CONFLICT DO NOTHING;
