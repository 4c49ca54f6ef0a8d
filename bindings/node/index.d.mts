import * as instar from "./index.js";

export * from "./index.js";
export default instar;
