// A worker of threads.test.mjs: its own engine on the bytes it is given.

import { parentPort, workerData } from "node:worker_threads";

import { Engine, Linker, Module } from "@instar/instar";

const { bytes, rounds, leak, forever } = workerData;
const engine = new Engine();
const linker = new Linker(engine);
let calls = 0;
linker.func("env", "f", { params: ["i32"], results: ["i32"] }, (caller, a) => {
  calls++;
  return a + caller.data;
});
const pre = linker.instantiatePre(new Module(engine, bytes));
let sum = 0;
do {
  for (let round = 0; round < rounds; round++) {
    const instance = pre.instantiate({ data: round });
    sum += instance.exports.call(1);
    try {
      instance.exports.boom();
    } catch (error) {
      if (error.trap !== "Unreachable") throw error;
    }
    if (!leak) instance.close();
  }
  if (forever) parentPort.postMessage("running");
} while (forever);
parentPort.postMessage({ sum, calls, live: engine.liveInstances });
