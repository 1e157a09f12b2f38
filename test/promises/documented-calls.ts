import assert from "node:assert/strict";

import { ask, type Asked, eventually } from "@pullring/testkit";
import * as z from "zod";

type Json = Readonly<Record<string, unknown>>;

interface Operation {
  readonly parameters?: readonly { readonly name: string; readonly in: string; readonly required: boolean }[];
  readonly requestBody?: unknown;
  readonly responses: Readonly<
    Record<string, { readonly content: Readonly<Record<string, { readonly schema: Json }>> }>
  >;
  readonly security?: readonly unknown[];
}

/** One call that the OpenAPI document of a node has, as it is there. */
export interface DocumentedCall {
  readonly method: string;
  readonly path: string;
  readonly operation: Operation;
}

export interface AdminAt {
  readonly adminUrl: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** What stands for the parameters and bodies of calls. */
export interface Samples {
  readonly parameters: Readonly<Record<string, string>>;
  /** By method and path. */
  readonly bodies: Readonly<Record<string, Json>>;
}

/** Those that change something come last, for there must be something to tell of. */
export async function documentedCalls({ adminUrl, headers }: AdminAt): Promise<readonly DocumentedCall[]> {
  const { body } = await ask(`${adminUrl}/admin/v1/openapi.json`, { headers });
  const { paths } = JSON.parse(body.toString()) as { paths: Record<string, Record<string, Operation>> };
  const calls = Object.entries(paths).flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, operation]) => ({ method: method.toUpperCase(), path, operation })),
  );
  return calls.toSorted((a, b) => Number(a.method === "DELETE") - Number(b.method === "DELETE"));
}

/** Makes the call with everything that it may take. */
export function makeCall({ adminUrl, headers }: AdminAt, call: DocumentedCall, samples: Samples): Promise<Asked> {
  const { method, path, operation } = call;
  const value = (name: string): string => encodeURIComponent(samples.parameters[name] ?? "");
  const query = (operation.parameters ?? []).filter((each) => each.in === "query" && value(each.name) !== "");
  const target = path.replace(/\{(\w+)\}/g, (_, name: string) => value(name));
  const search = query.length === 0 ? "" : `?${query.map(({ name }) => `${name}=${value(name)}`).join("&")}`;
  const body = samples.bodies[`${method} ${path}`];
  const json = body === undefined ? {} : { body: JSON.stringify(body) };
  const more = body === undefined ? headers : { ...headers, "content-type": "application/json" };
  return ask(`${adminUrl}${target}${search}`, { method, headers: more, ...json });
}

const schemaOf = ({ operation }: DocumentedCall, status: string, type: string): z.ZodType =>
  z.fromJSONSchema(operation.responses[status]?.content[type]?.schema as Parameters<typeof z.fromJSONSchema>[0]);

/** Makes the call, and holds its answer, which has this status, to the document. Of events it waits for two. */
export async function assertDocumented(
  at: AdminAt,
  call: DocumentedCall,
  samples: Samples,
  status = 200,
): Promise<void> {
  const what = `${call.method} ${call.path}`;
  const [type = ""] = Object.keys(call.operation.responses["200"]?.content ?? {});
  if (type === "text/event-stream") return assertEvents(at, call);
  const answer = await makeCall(at, call, samples);
  const as = status === 200 ? type : "application/problem+json";
  assert.deepEqual([answer.status, answer.headers["content-type"]], [status, as], `${what}: ${answer.body.toString()}`);
  const texts = as === "application/x-ndjson" ? answer.body.toString().trim().split("\n") : [answer.body.toString()];
  for (const text of texts) {
    const document = JSON.parse(text) as unknown;
    assert.deepEqual(schemaOf(call, status === 200 ? "200" : "default", as).parse(document), document, what);
  }
}

async function assertEvents(at: AdminAt, call: DocumentedCall): Promise<void> {
  const ended = new AbortController();
  const { events } = await listen(at, ended.signal);
  await eventually(() => events.length >= 2);
  ended.abort();
  const schema = schemaOf(call, "200", "text/event-stream");
  for (const event of events) assert.deepEqual(schema.parse(event), event);
}

/** Events until the signal ends them, and whether the answer came to its end. */
export async function listen(
  { adminUrl, headers }: AdminAt,
  signal: AbortSignal,
): Promise<{ readonly events: readonly Json[]; readonly done: Promise<boolean> }> {
  const response = await fetch(`${adminUrl}/admin/v1/events`, { headers, signal });
  assert.equal(response.headers.get("content-type"), "text/event-stream");
  const events: Json[] = [];
  const read = async (): Promise<boolean> => {
    let text = "";
    for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
      text += Buffer.from(chunk).toString();
      const whole = text.split("\n\n");
      text = whole.pop() ?? "";
      for (const each of whole) events.push(JSON.parse(/^data: (.*)$/m.exec(each)?.[1] ?? "") as Json);
    }
    return true;
  };
  return { events, done: read().catch(() => false) };
}
