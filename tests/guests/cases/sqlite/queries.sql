-- What SQL is: joins, groups, windows, recursion, constraints, triggers, views, JSON, full text.
CREATE TABLE people(id INTEGER PRIMARY KEY, name TEXT NOT NULL, born INTEGER, city TEXT DEFAULT 'Nowhere');
CREATE TABLE orders(id INTEGER PRIMARY KEY, person INTEGER REFERENCES people(id), amount REAL CHECK (amount > 0), note BLOB);
CREATE INDEX orders_person ON orders(person);
INSERT INTO people(name, born, city) VALUES ('Ada', 1815, 'London'), ('Grace', 1906, 'New York'), ('Alan', 1912, 'London'), ('Edsger', 1930, 'Rotterdam');
INSERT INTO people(name, born) VALUES ('Noname', NULL);
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 99) SELECT count(*), sum(i), avg(i) FROM n;
INSERT INTO orders(person, amount, note)
  WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 199)
  SELECT 1 + i % 4, i * 1.25 + 1, CASE WHEN i % 3 = 0 THEN x'00ff' ELSE printf('order %03d', i) END FROM n;
SELECT p.name, count(*), round(sum(o.amount), 2), max(o.note) FROM people p JOIN orders o ON o.person = p.id GROUP BY p.id ORDER BY 3 DESC;
SELECT p.name, o.id FROM people p LEFT JOIN orders o ON o.person = p.id AND o.id < 3 ORDER BY p.id, o.id;
SELECT id, person, amount, sum(amount) OVER (PARTITION BY person ORDER BY id ROWS 2 PRECEDING), rank() OVER (ORDER BY amount DESC) FROM orders WHERE id <= 12 ORDER BY id;
SELECT city, group_concat(name, '+') FROM (SELECT * FROM people ORDER BY name) GROUP BY city HAVING count(*) > 0 ORDER BY city;
SELECT typeof(note), hex(note), length(note) FROM orders WHERE id IN (1, 2);
CREATE VIEW rich AS SELECT * FROM people WHERE id IN (SELECT person FROM orders WHERE amount > 240);
SELECT name FROM rich;
CREATE TABLE log(what TEXT);
CREATE TRIGGER renamed AFTER UPDATE OF name ON people BEGIN INSERT INTO log VALUES (old.name || ' -> ' || new.name); END;
UPDATE people SET name = upper(name) WHERE born > 1900;
SELECT * FROM log;
BEGIN;
DELETE FROM orders WHERE person = 1;
SELECT count(*) FROM orders;
ROLLBACK;
SELECT count(*) FROM orders;
INSERT OR IGNORE INTO people(id, name) VALUES (1, 'twice');
INSERT INTO people(id, name) VALUES (1, 'again') ON CONFLICT(id) DO UPDATE SET name = excluded.name || '!' RETURNING id, name;
WITH RECURSIVE
  xaxis(x) AS (VALUES(-2.0) UNION ALL SELECT x + 0.1 FROM xaxis WHERE x < 1.0),
  yaxis(y) AS (VALUES(-1.0) UNION ALL SELECT y + 0.2 FROM yaxis WHERE y < 1.0),
  m(iter, cx, cy, x, y) AS (
    SELECT 0, x, y, 0.0, 0.0 FROM xaxis, yaxis
    UNION ALL SELECT iter + 1, cx, cy, x * x - y * y + cx, 2.0 * x * y + cy FROM m WHERE x * x + y * y < 4.0 AND iter < 28),
  m2(iter, cx, cy) AS (SELECT max(iter), cx, cy FROM m GROUP BY cx, cy),
  a(t) AS (SELECT group_concat(substr(' .+*#', 1 + min(iter / 7, 4), 1), '') FROM m2 GROUP BY cy)
SELECT group_concat(rtrim(t), x'0a') FROM a;
SELECT json_extract('{"a": [1, 2.5, {"b": null}], "c": "x"}', '$.a[1]'), json_group_array(name) FROM people;
SELECT key, value, type FROM json_each('{"a": 1, "b": [true, "x"], "c": null}');
CREATE VIRTUAL TABLE pages USING fts5(title, body);
INSERT INTO pages VALUES ('one', 'the quick brown fox'), ('two', 'jumps over the lazy dog'), ('three', 'the fox and the dog');
SELECT title, snippet(pages, 1, '[', ']', '...', 3) FROM pages WHERE pages MATCH 'fox OR dog' ORDER BY rank, title;
CREATE VIRTUAL TABLE boxes USING rtree(id, x1, x2, y1, y2);
INSERT INTO boxes VALUES (1, 0, 10, 0, 10), (2, 5, 15, 5, 15), (3, 20, 30, 20, 30);
SELECT id FROM boxes WHERE x1 <= 12 AND x2 >= 8 AND y1 <= 12 AND y2 >= 8 ORDER BY id;
SELECT date('2024-02-29', '+1 year', 'weekday 1'), strftime('%j %W %s', '2000-12-31'), julianday('2000-01-01'), datetime('now');
SELECT 1 / 3.0, 1e300 * 1e10, 9223372036854775807, 9223372036854775807 + 1, 5 % -3, -5 / 2, 0x10, round(2.5), abs(-1.5), CAST('12abc' AS INTEGER), 0.1 + 0.2;
SELECT printf('%08.3f|%+d|%x|%,d|%s|%q', 3.14159, 5, 255, 1234567, 'text', 'it''s'), instr('abc', 'c'), replace('aXbX', 'X', '--'), substr('hello', -3, 2), trim('  x '), unicode('é'), char(233, 8364);
SELECT sqrt(2), floor(-1.5), 7 / 2, 'abc' LIKE 'A%', 'abc' GLOB 'a*', NULL IS NULL, coalesce(NULL, 2), iif(1 > 2, 'yes', 'no'), nullif(1, 1), min(3, 1, 2);
EXPLAIN QUERY PLAN SELECT * FROM orders WHERE person = 3;
PRAGMA integrity_check;
