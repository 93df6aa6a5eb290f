UPDATE identity.document SET revoked_because = 'kadunud / утерян / 遗失'
    WHERE hashtext(number) %% 250 = %(day)s %% 250;
DELETE FROM identity.document WHERE hashtext(number) %% 2000 = 1 + %(day)s %% 1000;
INSERT INTO identity.document
    SELECT md5(number || %(day)s)::uuid, personal_code, 'passport', 'VN' || lpad((%(day)s * 10000 + n)::text, 7, '0'),
           '2025-11-03', '2035-11-03', NULL, sha256(number::bytea), NULL
    FROM (SELECT *, row_number() OVER (ORDER BY number) AS n FROM identity.document) AS d
    WHERE n <= 200;
INSERT INTO identity.event
    SELECT timestamptz '2025-11-03 08:00+00' + n * interval '1.5 s', 'VM0000001', 'login', NULL, NULL, B'1010'
    FROM generate_series(1, 300) AS n;
DELETE FROM identity.event WHERE happened = '-infinity';
