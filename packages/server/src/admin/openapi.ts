import * as z from "zod";

import { problemAnswer } from "./answers.ts";
import type { AdminCall, Parameter } from "./call.ts";

/** The OpenAPI 3.1 document of these calls. */
export function openApi(calls: readonly AdminCall[]): Record<string, unknown> {
  const paths: Record<string, Record<string, unknown>> = {};
  for (const call of calls) {
    const path = `/admin/v1${call.path.replace("*}", "}")}`;
    paths[path] = { ...paths[path], [call.method.toLowerCase()]: operation(call) };
  }
  return {
    openapi: "3.1.0",
    info: { title: "Pullring's admin API", version: "1" },
    paths,
    components: { securitySchemes: { token: { type: "http", scheme: "bearer" } } },
    security: [{ token: [] }, {}],
  };
}

const json = (schema: z.ZodType, io: "input" | "output"): { schema: object } => {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io });
  return { schema: rest };
};

/** The schema of a stream is that of each of its lines. */
function operation({ summary, parameters = [], body, answer, changes, type }: AdminCall): object {
  const problems = { "application/problem+json": json(problemAnswer, "output") };
  return {
    summary,
    ...(parameters.length > 0 ? { parameters: parameters.map(parameterOf) } : {}),
    ...(body ? { requestBody: { required: true, content: { "application/json": json(body, "input") } } } : {}),
    responses: {
      200: { description: "done", content: { [type ?? "application/json"]: json(answer, "output") } },
      default: { description: "refused or failed", content: problems },
    },
    ...(changes ? { security: [{ token: [] }] } : {}),
  };
}

const parameterOf = ({ schema, ...parameter }: Parameter): object => ({
  ...parameter,
  schema: schema ? json(schema, "output").schema : { type: "string" },
});
