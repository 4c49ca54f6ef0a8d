-- Work: many rows, an index, sorting, a join of a table with itself.
CREATE TABLE numbers(n INTEGER PRIMARY KEY, mixed INTEGER, word TEXT);
BEGIN;
INSERT INTO numbers WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < 20000)
  SELECT i, (i * 7919) % 20011, printf('%x-%d', i * 2654435761 % 4294967296, i % 100) FROM s;
CREATE INDEX by_mixed ON numbers(mixed);
COMMIT;
SELECT count(*), sum(mixed), min(word), max(word) FROM numbers;
SELECT n, mixed FROM numbers ORDER BY word DESC LIMIT 5;
SELECT count(*) FROM numbers a JOIN numbers b ON b.mixed = a.n WHERE b.n < a.n;
SELECT substr(word, 1, 1), count(*), avg(mixed) FROM numbers GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 8;
UPDATE numbers SET mixed = mixed + 1 WHERE n % 3 = 0;
DELETE FROM numbers WHERE word LIKE '%-7';
SELECT count(*), sum(mixed), total(length(word)) FROM numbers;
