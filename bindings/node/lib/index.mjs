// The public names for `import`. The same classes as for `require`: there is one Instar in a process.

import instar from "./index.js";

export const { Engine, Module, Linker, InstancePre, Instance, Memory, Caller, InstarError, Trap, ErrorKind, TrapCode } = instar;
export default instar;
