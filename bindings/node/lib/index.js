"use strict";
// The public names.

const { Engine } = require("./engine.js");
const { Module } = require("./module.js");
const { Linker } = require("./linker.js");
const { InstancePre } = require("./pre.js");
const { Instance } = require("./instance.js");
const { Memory } = require("./memory.js");
const { Caller } = require("./host.js");
const { InstarError, Trap } = require("./errors.js");
const { ErrorKind, TrapCode } = require("./kinds.js");

module.exports = { Engine, Module, Linker, InstancePre, Instance, Memory, Caller, InstarError, Trap, ErrorKind, TrapCode };
