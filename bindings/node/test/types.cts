// Checked by tsc, never run: the CommonJS entry.

import instar = require("@instar/instar");

const engine: instar.Engine = new instar.Engine();
export const pre: instar.InstancePre = new instar.Linker(engine).instantiatePre(new instar.Module(engine, "(module)"));
