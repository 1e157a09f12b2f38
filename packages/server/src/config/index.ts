/**
 * The configuration: one schema (`schema.ts`) for the file, the environment, the messages and the reference in docs/configuration.md.
 * Sources are merged as people wrote them, checked as a whole, then turned into a frozen `Config`.
 */
export { canonicalNames } from "./canonical-names.ts";
export type * from "./config.ts";
export { processEnvironment, type Environment } from "./environment.ts";
export { loadConfig, type LoadOptions } from "./load-config.ts";
export { ConfigError, type Problem } from "./problem.ts";
export { redacted } from "./redacted.ts";
export type { SecretSource } from "./secret-source.ts";
export { watchedFile, type WatchedFile, type WatchedFileOptions } from "./watched-file.ts";
