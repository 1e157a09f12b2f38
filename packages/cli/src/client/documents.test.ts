import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";

import { run } from "../run.ts";

const folder = new URL("../../../../docs/clients/", import.meta.url);
const pages = readdirSync(folder).filter((name) => name.endsWith(".md"));

interface Block {
  /** What the line in front of it names, as `path`: */
  readonly path: string | undefined;
  readonly language: string;
  readonly text: string;
}

const blocksOf = (page: string): readonly Block[] =>
  [...page.matchAll(/(?:^`([^`\n]+)`:\n\n)?^```(\w*)\n(.*?)^```$/gms)].map(([, path, language = "", text = ""]) => ({
    path,
    language,
    text,
  }));

const unindented = (line: string): readonly string[] => (line === "" ? [] : [line.slice(2)]);

async function printed(args: readonly string[]) {
  let [out, err] = ["", ""];
  const output = { out: (text: string) => void (out += text), err: (text: string) => void (err += text) };
  assert.equal(await run([...args, "--json"], output), 0, err);
  const sections = [...err.matchAll(/^(\w[\w ]*):\n((?: {2}.*\n)+)/gm)];
  const lines = sections.map(([, head = "", body = ""]) => [head, body.split("\n").flatMap(unindented)] as const);
  return { files: JSON.parse(out) as { path: string; contents: string }[], told: new Map(lines) };
}

test("every client that the command knows has its page", async () => {
  let err = "";
  await run(["client", "--url", "http://m"], { out: () => {}, err: (text) => void (err += text) });
  const names = /a client: (.*)$/m.exec(err)?.[1]?.split(", ") ?? [];
  // They are in the pages of what they share their files with.
  const own = names.filter((name) => name !== "kubernetes" && name !== "cri-o");
  assert.deepEqual(own.map((name) => `${name}.md`).sort(), pages.sort());
});

for (const name of pages) {
  test(`docs/clients/${name} shows exactly what its command prints`, async () => {
    const page = readFileSync(new URL(name, folder), "utf8");
    const blocks = blocksOf(page);
    const commands = blocks.flatMap(({ language, text }) =>
      language === "sh" ? text.split("\n").filter((line) => line.startsWith("pullring client ")) : [],
    );
    assert.equal(commands.length, 1);
    const [, ...args] = (commands[0] ?? "").replace(/ > .*$/, "").split(" ");
    const { files, told } = await printed(args);
    const shown = blocks.flatMap(({ path, text }) => (path === undefined ? [] : [{ path, contents: text }]));
    assert.deepEqual(shown, files);
    const shell = new Set(blocks.flatMap(({ language, text }) => (language === "sh" ? text.split("\n") : [])));
    const steps = [...(told.get("Then") ?? []), ...(told.get("Check") ?? [])];
    assert.ok(steps.length > 0);
    for (const step of steps) assert.ok(step.startsWith("# none") || shell.has(step), step);
  });
}

test("the README shows what the command prints", async () => {
  const readme = readFileSync(new URL("../../../../README.md", import.meta.url), "utf8");
  for (const name of ["docker", "containerd"]) {
    const { files } = await printed(["client", name, "--url", "http://mirror.example.org:5000"]);
    const compact = (text: string): string => text.replace(/\s+/g, "");
    for (const { contents } of files) assert.ok(compact(readme).includes(compact(contents)), name);
  }
});
