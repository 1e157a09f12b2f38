import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Writable } from "node:stream";
import { test, type TestContext } from "node:test";

import { eventually } from "@pullring/testkit";

import { makeLineWriter, type LineWriter } from "./line-writer.ts";

const flushed = (writer: LineWriter): Promise<void> => new Promise((resolve) => writer.flush(resolve));

async function openFile(t: TestContext): Promise<{ fd: number; text: () => string }> {
  const dir = await mkdtemp(join(tmpdir(), "pullring-log-"));
  const path = join(dir, "log");
  const fd = openSync(path, "w");
  t.after(async () => {
    closeSync(fd);
    await rm(dir, { recursive: true });
  });
  return { fd, text: () => readFileSync(path, "utf8") };
}

test("lines come out whole and in their order", async (t) => {
  const { fd, text } = await openFile(t);
  const writer = makeLineWriter({ fd, batchChars: 100 });
  const lines = Array.from({ length: 1_000 }, (_, index) => `line ${index} ${"é".repeat(index % 50)}\n`);
  for (const [index, line] of lines.entries()) {
    writer.write(line);
    if (index % 97 === 0) await new Promise(setImmediate);
  }
  await flushed(writer);
  assert.equal(text(), lines.join(""));
});

test("a single line does not wait for others for long", async (t) => {
  const { fd, text } = await openFile(t);
  makeLineWriter({ fd, batchMs: 10 }).write("alone\n");
  assert.equal(text(), "");
  await eventually(() => text() === "alone\n");
});

test("a flush with nothing to do is done", async (t) => {
  const { fd } = await openFile(t);
  await flushed(makeLineWriter({ fd }));
});

test("a flush that is done leaves no timer behind that would keep the process", async (t) => {
  const { fd } = await openFile(t);
  const writer = makeLineWriter({ fd });
  const timers = (): number => process.getActiveResourcesInfo().filter((kind) => kind === "Timeout").length;
  const before = timers();
  writer.write("line\n");
  await flushed(writer);
  assert.equal(timers(), before);
});

test("a disk that is full loses the lines beyond the bound, nothing else", async () => {
  const fd = openSync("/dev/full", "w");
  const writer = makeLineWriter({ fd, retryMs: 10, batchChars: 1, pendingCharsMax: 100 });
  for (let index = 0; index < 1_000; index++) writer.write("line\n");
  await flushed(writer);
  writer.exit();
  closeSync(fd);
});

/** A process that writes two lines and exits at once. */
const program = `
  import { makeLog } from ${JSON.stringify(new URL("log.ts", import.meta.url).href)};
  const log = makeLog({ level: "info", clock: { now: () => 0 } });
  log.info({}, "one");
  setTimeout(() => { log.info({}, "two"); process.exit(3); }, 400);
`;
const nodeArguments = ["--input-type=module", "--no-warnings", "-e", program];

test("a process that exits leaves no line behind", async () => {
  const child = execFile(process.execPath, nodeArguments);
  let out = "";
  child.stdout?.on("data", (chunk: string) => (out += chunk));
  const [code] = (await once(child, "close")) as [number];
  assert.equal(code, 3);
  assert.deepEqual(
    out
      .trim()
      .split("\n")
      .map((line) => (JSON.parse(line) as { msg: string }).msg),
    ["one", "two"],
  );
});

test("a process ends by itself when the disk behind its log is full, or nobody reads it", async () => {
  const full = openSync("/dev/full", "w");
  for (const out of [full, "pipe"] as const) {
    const child = spawn(process.execPath, nodeArguments, { stdio: ["ignore", out, "inherit"] });
    child.stdout?.destroy();
    const [code] = (await once(child, "exit")) as [number];
    assert.equal(code, 3);
  }
  closeSync(full);
});

test("lines that were lost are counted once there is room again", async () => {
  const [go, standardInput] = [3, 0];
  const stdio = ["pipe", "pipe", "inherit", "pipe"] as const;
  const child = spawn("sh", ["-c", `read go <&${go}; exec cat`], { stdio: [...stdio] });
  const input = child.stdio[standardInput] as Writable & { _handle: { fd: number } };
  let received = 0;
  child.stdout?.on("data", (chunk: Buffer) => (received += chunk.length));
  let lost = 0;
  const onLost = (lines: number): void => void (lost += lines);
  const { fd } = input._handle;
  const writer = makeLineWriter({ fd, onLost, retryMs: 5, batchChars: 1, pendingCharsMax: 64 * 1024 });
  const line = `${"x".repeat(1023)}\n`;
  for (let index = 0; index < 1_000; index++) {
    writer.write(line);
    if (index % 100 === 0) await new Promise(setImmediate);
  }
  (child.stdio[go] as Writable).end("go\n");
  await eventually(() => lost > 0 && received / line.length + lost === 1_000);
  input.end();
  await once(child, "close");
});
