import { fileURLToPath } from "node:url";

/** For `NODE_COMPILE_CACHE` (node:module): tests start many processes of the same modules, and this halves each start. */
export const compileCache = fileURLToPath(new URL("../../node_modules/.cache/compiled", import.meta.url));
