"use strict";
// Finds and loads the native half: beside this package (a build of the repository), else the platform's package.

const { existsSync } = require("node:fs");
const { join } = require("node:path");

const target = `${process.platform}-${process.arch}${libc()}`;
const local = join(__dirname, "..", `instar.${target}.node`);
const packaged = `@instar/instar-${target}`;

function libc() {
  if (process.platform !== "linux") return "";
  // The C library that this node runs on; musl reports no version.
  return process.report.getReport().header.glibcVersionRuntime ? "-gnu" : "-musl";
}

function load() {
  if (existsSync(local)) return require(local);
  try {
    return require(packaged);
  } catch (cause) {
    const reason =
      cause.code === "MODULE_NOT_FOUND"
        ? `There is no Instar for ${target} here: neither ${packaged} is installed nor was the repository built ` +
          "(bindings/node/build.sh). npm leaves optional dependencies out when package-lock.json was made on " +
          "another platform (npm bug 4828): remove node_modules and package-lock.json and install again."
        : `${packaged} cannot be loaded: ${cause.message}`;
    throw new Error(reason, { cause });
  }
}

module.exports = load();
