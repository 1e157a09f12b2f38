import assert from "node:assert/strict";
import { test } from "node:test";

import { virtualClock } from "@pullring/testkit";

import { makeLog, type RequestFacts } from "./log.ts";

function start(level: "info" | "warn" | "debug" = "info") {
  const lines: string[] = [];
  const log = makeLog({
    level,
    clock: virtualClock(Date.UTC(2026, 1, 3, 4, 5, 6, 7)),
    destination: { write: (line) => void lines.push(line) },
  });
  const told = (): Record<string, unknown>[] => lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  return { log, lines, told };
}

const facts: RequestFacts = {
  client: "192.0.2.1",
  method: "GET",
  upstream: "docker.io",
  name: "library/alpine",
  reference: "latest",
  route: "manifest",
  tier: "memory",
  outcome: "ok",
  status: 200,
  bytes: 528,
  ms: 1.26,
  ttfbMs: 0.94,
  requestId: "a-1",
};

test("a request is one line with what happened", () => {
  const { log, told } = start();
  log.requestLine({ ...facts, user: "ci" });
  const [line] = told();
  const frame = { level: "info", time: "2026-02-03T04:05:06.007Z", msg: "request" };
  assert.deepEqual(line, { ...frame, ...facts, user: "ci", ms: 1.3, ttfbMs: 0.9 });
  assert.equal(told().length, 1);
});

test("what a request does not have is not in its line", () => {
  const { log, told } = start();
  log.requestLine({ ...facts, name: undefined, reference: undefined, upstream: undefined, ttfbMs: undefined });
  for (const key of ["user", "name", "reference", "upstream", "ttfbMs", "error"])
    assert.ok(!(key in (told()[0] ?? {})), key);
});

test("lines below the level are not written", () => {
  const { log, told } = start("warn");
  log.info({}, "no");
  log.debug({}, "no");
  log.requestLine(facts);
  log.warn({}, "yes");
  log.error({}, "yes");
  assert.deepEqual(
    told().map(({ level, msg }) => [level, msg]),
    [
      ["warn", "yes"],
      ["error", "yes"],
    ],
  );
});

test("no line ever holds a secret", () => {
  const { log, lines } = start("debug");
  const canary = "c4n4ry";
  const headers = { authorization: `Bearer ${canary}`, "proxy-authorization": canary, cookie: canary };
  const error = new Error(`GET https://cdn/x?sig=${canary} with Bearer ${canary}`, {
    cause: Object.assign(new Error("why"), {
      headers,
      token: canary,
      url: new URL(`https://u:${canary}@host/?a=${canary}`),
    }),
  });
  for (const level of ["debug", "info", "warn", "error"] as const) {
    log[level]({ err: error, headers, account: { password: canary } }, `password=${canary}`);
    log[level]({ nested: [{ headers }], body: Buffer.from(canary) }, `https://a/b?token=${canary}`);
  }
  log.requestLine({ ...facts, error });
  assert.equal(lines.length, 9);
  assert.ok(
    !lines.join("").includes(canary),
    lines.find((line) => line.includes(canary)),
  );
});

test("an error is told with its kind, its words and its place", () => {
  const { log, told } = start();
  log.error({ err: new RangeError("too far") }, "failed");
  const { err } = told()[0] as { err: { type: string; message: string; stack: string } };
  assert.equal(told()[0]?.["time"], "2026-02-03T04:05:06.007Z");
  assert.equal(err.type, "RangeError");
  assert.equal(err.message, "too far");
  assert.match(err.stack, /log\.test\.ts/);
});

test("a line is one line, whatever is in it", () => {
  const { log, lines } = start();
  log.info({ text: "a\nb" }, "c\nd");
  log.requestLine({ ...facts, user: 'x"\n{"level":"error"}' });
  for (const line of lines) assert.equal(line.indexOf("\n"), line.length - 1);
  assert.equal(lines.length, 2);
});
