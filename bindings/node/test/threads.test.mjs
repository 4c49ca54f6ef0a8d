import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { Worker } from "node:worker_threads";

import { HOST, hostPre } from "./support/guests.mjs";

const source = new URL("./support/worker.mjs", import.meta.url);

function start(workerData) {
  return new Worker(source, { workerData: { bytes: HOST, rounds: 100, ...workerData } });
}

async function finish(worker) {
  // Both from the start: the exit may follow its last message at once.
  const [[message], [code]] = await Promise.all([once(worker, "message"), once(worker, "exit")]);
  assert.equal(code, 0);
  return message;
}

test("workers run the same module in engines of their own", async () => {
  const rounds = 2000;
  const workers = [start({ rounds }), start({ rounds })];
  const { pre } = hostPre((_, a) => a);
  const call = pre.func("call");
  for (let round = 0; round < rounds; round++) assert.equal(call(round), round);
  for (const { sum, calls, live } of await Promise.all(workers.map(finish))) {
    assert.equal(sum, rounds + (rounds * (rounds - 1)) / 2);
    assert.equal(calls, rounds);
    assert.equal(live, 0);
  }
});

test("a worker may end with open instances", async () => {
  for (let round = 0; round < 5; round++) assert.equal((await finish(start({ leak: true }))).live, 100);
});

test("a worker may be terminated in the middle of its calls", async () => {
  for (let round = 0; round < 5; round++) {
    const worker = start({ rounds: 1000, forever: true });
    await once(worker, "message");
    await worker.terminate();
  }
});

test("traps of V8's WebAssembly work after the only worker that used Instar has ended", () => {
  // Node unloads an addon with its last user; the signal handler must not go with it.
  const script = `
    import { once } from "node:events";
    import { Worker } from "node:worker_threads";
    const worker = new Worker(${JSON.stringify(source.pathname)}, { workerData: { bytes: ${JSON.stringify(HOST)}, rounds: 10 }, execArgv: [] });
    await once(worker, "exit");
    const { trapOfV8 } = await import(${JSON.stringify(new URL("./support/v8.mjs", import.meta.url).pathname)});
    for (let round = 0; round < 100; round++) if (!trapOfV8()) throw new Error("no trap");
    console.log("trapped");`;
  const { stdout, stderr, status, signal } = spawnSync(process.execPath, ["--input-type=module", "--eval", script], { encoding: "utf8" });
  assert.equal(stdout, "trapped\n", `${stderr} ${status} ${signal}`);
});
