-- A day: people move, die, are born; addresses are built. %(day)s is a whole number.
INSERT INTO population.address (settlement_code, street, house, apartment)
    SELECT settlement_code, 'Uus tänav ' || %(day)s, 1 + row_number() OVER (ORDER BY settlement_code), NULL
    FROM population.settlement;
UPDATE population.residence SET valid_to = '2025-11-02'
    WHERE valid_to = 'infinity' AND hashtext(personal_code) %% 400 = %(day)s %% 400
      AND valid_from < '2025-11-02';
INSERT INTO population.residence (personal_code, valid_from, address_id)
    SELECT personal_code, '2025-11-03', (SELECT max(address_id) FROM population.address)
    FROM population.residence
    WHERE valid_to = '2025-11-02' AND hashtext(personal_code) %% 400 = %(day)s %% 400
    ON CONFLICT DO NOTHING;
UPDATE population.person SET remark = E'päev\t' || %(day)s || E'\n✔'
    WHERE hashtext(personal_code) %% 200 = %(day)s %% 200;
DELETE FROM population.kinship WHERE hashtext(child_code) %% 250 = %(day)s %% 250;
REFRESH MATERIALIZED VIEW population.settlement_size;
