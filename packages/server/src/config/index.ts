/**
 * The configuration: one schema (`schema.ts`) for the file, the environment, the messages and the reference in docs/configuration.md.
 * Sources are merged as people wrote them, checked as a whole, then turned into a frozen `Config`.
 */
export { canonicalNames } from "./canonical-names.ts";
export type * from "./config.ts";
export { processEnvironment } from "./environment.ts";
export { loadConfig } from "./load-config.ts";
export { ConfigError } from "./problem.ts";
export { redacted } from "./redacted.ts";
export { watchedFile } from "./watched-file.ts";
