// Runs a guest in node, as a second opinion: wasi.mjs [--invoke EXPORT] FILE.wasm [ARGUMENT...]. A program gets standard input,
// output and errors and nothing else; with --invoke, the export of a module without imports gets i32 arguments and its answer
// is printed.
import { readFileSync } from "node:fs";
import { WASI } from "node:wasi";

const words = process.argv.slice(2);
const invoked = words[0] === "--invoke" ? words.splice(0, 2)[1] : null;
const module = new WebAssembly.Module(readFileSync(words[0]));

if (invoked) {
    const { exports } = new WebAssembly.Instance(module, {});
    console.log(String(exports[invoked](...words.slice(1).map(Number))));
} else {
    const wasi = new WASI({ version: "preview1", args: words, env: {}, returnOnExit: true });
    process.exitCode = wasi.start(new WebAssembly.Instance(module, wasi.getImportObject()));
}
