// Every request in a sandbox that nobody has used before: renders the Markdown cases N times (demo.mjs [N]), checks each
// output, and shows that a secret left in one instance is not in the next. Prints one line of JSON.

import { readFileSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { Engine, Linker, Module } from "@instar/instar";

const root = new URL("../../../", import.meta.url);
const path = (name) => fileURLToPath(new URL(name, root));
const requests = Number(process.argv[2] ?? 200_000);

const folder = path("tests/guests/markdown/cases");
const cases = readdirSync(folder)
  .filter((name) => name.endsWith(".md"))
  .sort()
  .map((name) => ({
    name,
    input: readFileSync(`${folder}/${name}`),
    expected: readFileSync(`${folder}/${name.replace(/\.md$/, ".html")}`),
  }));

const engine = new Engine();
const preOf = (guest) => new Linker(engine).instantiatePre(Module.fromFile(engine, path(`target/guests/${guest}.wasm`)));

const render = preOf("markdown").bytesFunc("render");
const start = process.hrtime.bigint();
for (let request = 0; request < requests; request++) {
  const { name, input, expected } = cases[request % cases.length];
  if (!expected.equals(render(input))) throw new Error(`request ${request}: ${name} was rendered wrongly`);
}
const seconds = Number(process.hrtime.bigint() - start) / 1e9;

const misbehave = preOf("misbehave");
const first = misbehave.instantiate();
first.exports.leave_secret(0x5ec7e7);
first.close();
const second = misbehave.instantiate();
const secretGone = second.exports.find_secret() === 0;
second.close();

console.log(
  JSON.stringify({
    language: "node",
    requests,
    seconds: Number(seconds.toFixed(3)),
    ns_per_request: Math.round((seconds / requests) * 1e9),
    rate: Math.round(requests / seconds),
    secret_gone: secretGone,
  }),
);
if (!secretGone || engine.liveInstances !== 0) process.exitCode = 1;
