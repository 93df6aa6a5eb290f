UPDATE cadastre.parcel SET area_m2 = area_m2 + 0.01, height_m = 'NaN'
    WHERE hashtext(cadastral_code) %% 350 = %(day)s %% 350;
DELETE FROM cadastre.parcel WHERE hashtext(cadastral_code) %% 3000 = 1 + %(day)s %% 1000;
INSERT INTO cadastre.parcel (cadastral_code, settlement_code, area_m2, uses, boundary, middle)
    SELECT '99999:' || %(day)s || ':' || n, '1000', n * 1.5, '{water}', '((0,0),(0,1),(1,1))', '(0.5,0.5)'
    FROM generate_series(1, 100) AS n;
REFRESH MATERIALIZED VIEW cadastre.settlement_area;
