// What is published installs in an empty folder, without a registry, and runs.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL("..", import.meta.url));

test("the packed packages install offline in an empty folder and run hello", (t) => {
  execFileSync(join(here, "pack.sh"), { cwd: here, stdio: "pipe" });
  const tarballs = readdirSync(join(here, "dist")).filter((name) => name.endsWith(".tgz"));
  assert.equal(tarballs.length, 2);
  const folder = mkdtempSync(join(tmpdir(), "instar-package-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const inFolder = (command, ...args) => execFileSync(command, args, { cwd: folder, encoding: "utf8", stdio: "pipe" });
  writeFileSync(join(folder, "package.json"), '{"private": true}');
  inFolder("npm", "install", "--offline", "--silent", ...tarballs.map((name) => join(here, "dist", name)));
  copyFileSync(join(here, "examples/hello.mjs"), join(folder, "hello.mjs"));
  assert.match(inFolder(process.execPath, "hello.mjs"), /40 \+ 2 = 42/);
  const script = "console.log(new (require('@instar/instar').Engine)().liveInstances)";
  assert.equal(inFolder(process.execPath, "--eval", script), "0\n");

  const installed = JSON.parse(readFileSync(join(folder, "node_modules/@instar/instar/package.json"), "utf8"));
  assert.deepEqual(Object.values(installed.optionalDependencies), [installed.version]);
  assert.equal(installed.devDependencies, undefined);
});

test("without the platform's package, loading says what to do", (t) => {
  const folder = mkdtempSync(join(tmpdir(), "instar-package-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const [main] = readdirSync(join(here, "dist")).filter((name) => /^instar-instar-\d/.test(name));
  writeFileSync(join(folder, "package.json"), '{"private": true}');
  execFileSync("npm", ["install", "--offline", "--silent", "--omit=optional", join(here, "dist", main)], { cwd: folder, stdio: "pipe" });
  assert.throws(
    () => execFileSync(process.execPath, ["--eval", "require('@instar/instar')"], { cwd: folder, stdio: "pipe", encoding: "utf8" }),
    /There is no Instar for linux-/,
  );
});

test("the versions of the package, the crate and the lockfile are one", () => {
  const { version } = JSON.parse(readFileSync(join(here, "package.json"), "utf8"));
  const lock = readFileSync(join(here, "package-lock.json"), "utf8");
  assert.equal(JSON.parse(lock).version, version);
  assert.ok(!lock.includes('"resolved"'), "the lockfile names a registry");
  const workspace = readFileSync(join(here, "../../Cargo.toml"), "utf8");
  assert.equal(/\[workspace\.package\]\nversion = "([^"]*)"/.exec(workspace)[1], version);
});
