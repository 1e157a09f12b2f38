import * as z from "zod";

/** A map of known keys. `key:` with nothing after it is a map without keys. */
export const section = <T extends z.ZodRawShape>(shape: T) =>
  z.preprocess((found) => (found === null ? {} : found), z.strictObject(shape));

export const listOf = <T extends z.ZodType>(item: T) => z.array(item);
export const someOf = <T extends z.ZodType>(item: T) =>
  z.array(item).min(1, "a list with something in it, or no such key");
