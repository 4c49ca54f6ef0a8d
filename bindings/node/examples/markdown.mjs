// Renders Markdown from standard input or a file in a sandbox: markdown.mjs [file]
// The guest is C, compiled by tests/guests/build.sh.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { Engine, Linker, Module } from "@instar/instar";

const guest = fileURLToPath(new URL("../../../target/guests/markdown.wasm", import.meta.url));
const engine = new Engine();
const pre = new Linker(engine).instantiatePre(Module.fromFile(engine, guest));

const [file] = process.argv.slice(2);
const source = file === undefined ? Buffer.from("# Hello\n\nfrom a *sandbox*.\n") : readFileSync(file === "-" ? 0 : file);
process.stdout.write(pre.callBytes("render", source));
