import type { Check } from "@pullring/server";

import type { Mirror } from "../client/client-setup.ts";
import { mirrorHints, parseMirror, readAuthority } from "../client/mirror.ts";
import type { LocalCommand } from "../command.ts";
import { CommandError, exitCodes } from "../exit-codes.ts";
import { none } from "../words.ts";
import { localClientChecks } from "./local-clients.ts";
import { runChecks, type Result } from "./run-checks.ts";

export const doctor: LocalCommand = {
  usage: "doctor [--config FILE] [--url URL [--ca FILE]] [--json]",
  summary:
    "What is wrong with a node's set-up, and with the mirror at URL as clients see it. Exit code 1 when something fails; warnings alone are 0.",
  options: { config: { type: "string" }, url: { type: "string" }, ca: { type: "string" } },
  async run({ values, words }) {
    none(words);
    const { config, url, ca: caFile } = values as { config?: string; url?: string; ca?: string };
    const ca = caFile === undefined ? undefined : await readAuthority(caFile);
    const { mirror, check } = addressOf(url);
    // Loaded here, so that other commands do not wait for the parts of a node.
    const { diagnose } = await import("@pullring/server");
    const ofNode = await diagnose({ file: config, mirror: mirror && { url: new URL(mirror.origin), ca } });
    const results = await runChecks([...ofNode, ...check, ...(await localClientChecks({ mirror }))]);
    const failures = results.filter(({ status }) => status === "fail").length;
    return {
      answer: { ok: failures === 0, checks: results },
      text: textOf(results),
      ...(failures > 0 && { note: `${failures} of ${results.length} checks failed` }),
      code: failures > 0 ? exitCodes.failed : exitCodes.ok,
    };
  },
};

/** A wrong address is a finding here like any other. */
function addressOf(url: string | undefined): { readonly mirror?: Mirror; readonly check: readonly Check[] } {
  if (url === undefined) return { check: [] };
  const name = "mirror's address";
  try {
    const mirror = parseMirror(url);
    const [hint] = mirrorHints(mirror);
    return {
      mirror,
      check: hint === undefined ? [] : [{ name, run: () => Promise.resolve({ status: "warn", found: hint }) }],
    };
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    const found = error.message;
    return { check: [{ name, run: () => Promise.resolve({ status: "fail", found }) }] };
  }
}

function textOf(results: readonly Result[]): string {
  const width = Math.max(...results.map(({ name }) => name.length));
  const indent = " ".repeat(6 + width + 2);
  return results
    .map(({ name, status, found, advice }) => {
      const told = found.replaceAll("\n", `\n${indent}`);
      return `${status.padEnd(5)} ${name.padEnd(width)}  ${told}\n${advice === undefined ? "" : `${indent}→ ${advice}\n`}`;
    })
    .join("");
}
