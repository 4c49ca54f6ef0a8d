// Runs the built guests in node: wasm.mjs FOLDER. Every case of markdown and json, and what
// misbehave promises. Node's engine is nobody's peer here: it only has to be right.
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const guests = join(dirname(fileURLToPath(import.meta.url)), "..");
const built = process.argv[2];

const modules = new Map();
function instantiate(name) {
    if (!modules.has(name)) modules.set(name, new WebAssembly.Module(readFileSync(join(built, `${name}.wasm`))));
    return new WebAssembly.Instance(modules.get(name)).exports;
}

// An answer of the bytes convention; addresses are unsigned.
function parts(answer) {
    const bits = BigInt.asUintN(64, answer);
    return { address: Number(bits >> 32n), len: Number(bits & 0xffffffffn) };
}

function call(exports, name, input) {
    const at = exports.alloc(input.length) >>> 0;
    assert.equal(at % 8, 0, "alloc answers with an 8-aligned address");
    new Uint8Array(exports.memory.buffer, at, input.length).set(input);
    const { address, len } = parts(exports[name](at, input.length));
    assert.notEqual(address, 0, "0 is the answer of a guest without memory");
    return Buffer.from(exports.memory.buffer.slice(address, address + len));
}

function runCases(guest, name, from, to) {
    const folder = join(guests, guest, "cases");
    const inputs = readdirSync(folder).filter((file) => file.endsWith(`.${from}`));
    for (const file of inputs) {
        const expected = readFileSync(join(folder, file.replace(new RegExp(`${from}$`), to)));
        const actual = call(instantiate(guest), name, readFileSync(join(folder, file)));
        assert.equal(actual.toString("latin1"), expected.toString("latin1"), `${guest} ${file}`);
    }
    console.log(`${guest}.wasm: ${inputs.length} cases`);
}

function traps(action, message) {
    assert.throws(action, (error) => {
        assert.ok(error instanceof WebAssembly.RuntimeError || error instanceof RangeError, `${error}`);
        assert.match(error.message, message);
        return true;
    });
}

function misbehaves() {
    const guest = instantiate("misbehave");
    const end = guest.memory.buffer.byteLength;

    traps(() => guest.trap_unreachable(), /unreachable/);
    traps(() => guest.trap_div(0), /divide by zero/);
    assert.equal(guest.trap_div(7), 142);
    traps(() => guest.trap_oob(end), /out of bounds/);
    traps(() => guest.load_at(end - 3), /out of bounds/);
    traps(() => guest.store_at(-1, 7), /out of bounds/);
    guest.store_at(end - 4, 0x12345678);
    assert.equal(guest.load_at(end - 4), 0x12345678);
    assert.equal(guest.trap_oob(end - 4), 0x12345678);
    traps(() => guest.call_null(), /null function|uninitialized|signature|out of bounds/);
    traps(() => guest.call_bad_type(), /signature|type/);
    traps(() => guest.call_outside(), /out of bounds/);
    assert.equal(guest.call_good(41), 42);

    assert.equal(guest.recurse(1000), 1000);
    traps(() => guest.recurse(-1), /call stack/);
    assert.equal(guest.recurse_in_memory(200), 200);
    traps(() => guest.recurse_in_memory(-1), /out of bounds|call stack/);

    assert.equal(guest.spin(1000n), guest.spin(1000n));
    assert.notEqual(guest.spin(1000n), guest.spin(1001n));
    assert.equal(guest.grow(1), end / 65536);
    assert.equal(guest.grow(-1), -1);
    assert.equal(guest.memory.buffer.byteLength, end + 65536);

    const fresh = instantiate("misbehave");
    assert.deepEqual([fresh.count(), fresh.count(), instantiate("misbehave").count()], [1, 2, 1]);
    const scribbled = fresh.scribble(4096);
    assert.ok(scribbled > 0 && scribbled <= fresh.memory.buffer.byteLength / 4096);
    assert.equal(fresh.count(), 3, "scribble leaves the data alone");

    const secretive = instantiate("misbehave");
    assert.equal(secretive.find_secret(), 0);
    secretive.leave_secret(1234567890);
    assert.equal(secretive.find_secret(), 4, "global, static data, stack and heap");
    assert.match(Buffer.from(secretive.memory.buffer).toString("latin1"), /TOP-SECRET:1234567890\0/);
    assert.equal(instantiate("misbehave").find_secret(), 0);

    const text = Buffer.from("gr\u00fc\u00dfe \0 \ud83d\ude00");
    const echoed = instantiate("misbehave");
    assert.deepEqual(call(echoed, "echo", text), text);
    for (const kind of ["", "0", "1", "2", "3", "4"]) {
        const input = Buffer.from(kind);
        const at = echoed.alloc(8);
        new Uint8Array(echoed.memory.buffer, at, input.length).set(input);
        const { address, len } = parts(echoed.bad_answer(at, input.length));
        assert.ok(address + len > echoed.memory.buffer.byteLength, `bad_answer ${kind}`);
    }
    console.log("misbehave.wasm: as promised");
}

for (const name of ["markdown", "json", "misbehave"]) {
    const module = new WebAssembly.Module(readFileSync(join(built, `${name}.wasm`)));
    assert.deepEqual(WebAssembly.Module.imports(module), [], `${name} imports nothing`);
}
runCases("markdown", "render", "md", "html");
runCases("json", "format", "json", "out");
misbehaves();
