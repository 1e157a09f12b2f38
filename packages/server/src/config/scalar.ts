import * as z from "zod";

/** What a key may hold: for its values one by one, for error messages and for the reference. */
export interface Kind<T> {
  /** In the reference's table. */
  readonly type: string;
  /** Completes "allowed: …". */
  readonly allowed: string;
  /** undefined = not allowed. Takes whatever YAML, JSON or (as text) the environment holds. */
  parse(found: unknown): T | undefined;
  /** What a variable's text stands for, where that is no text. */
  readonly fromText?: (text: string) => unknown;
}

/** A schema for one value. Its issues carry `allowed` as their message and nothing of the value. */
export function scalar<T>(kind: Kind<T>): z.ZodType<T> {
  return z
    .unknown()
    .transform((found, context): T => {
      const value = kind.parse(found);
      if (value !== undefined) return value;
      context.issues.push({ code: "custom", message: kind.allowed, input: found });
      return z.NEVER;
    })
    .meta({ type: kind.type, ...(kind.fromText ? { fromText: kind.fromText } : {}) });
}

/** A kind that is text of a grammar. */
export function textKind(type: string, allowed: string, grammar: RegExp): Kind<string> {
  return { type, allowed, parse: (found) => (typeof found === "string" && grammar.test(found) ? found : undefined) };
}
