import * as z from "zod";

import { AdminProblem } from "./admin-problem.ts";
import type { Ask, Parameter } from "./call.ts";

/** Parameters in the query, as the schema that reads them has them. */
export const queryParameters = (schema: z.ZodObject): readonly Parameter[] =>
  Object.entries(schema.shape).map(([name, value]) => ({
    name,
    in: "query",
    required: false,
    description: z.globalRegistry.get(value as z.ZodType)?.description ?? "",
    schema: value as z.ZodType,
  }));

/** What is not given has its default. Throws AdminProblem. */
export function readQuery<T extends z.ZodObject>(schema: T, parameter: Ask["parameter"]): z.output<T> {
  const given = Object.keys(schema.shape).flatMap((name) => (parameter(name) ? [[name, parameter(name)]] : []));
  const { success, data, error } = schema.safeParse(Object.fromEntries(given));
  if (success) return data;
  const [issue] = error.issues;
  throw new AdminProblem(400, `${issue?.path.join(".")}: ${issue?.message}`);
}
