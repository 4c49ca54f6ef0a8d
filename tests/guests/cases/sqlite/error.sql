-- An error ends the program; what ran before it stands.
CREATE TABLE t(a UNIQUE);
INSERT INTO t VALUES (1), (2);
SELECT * FROM t;
INSERT INTO t VALUES (2);
SELECT 'never reached';
