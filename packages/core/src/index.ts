export * from "./ports.ts";
export * from "./errors.ts";
export { limits } from "./limits.ts";
export { globMatcher } from "./glob.ts";
