import { type Browser, chromium } from "playwright-core";

import { findTool, needs } from "./needs.ts";

/** For a suite's `skip`. */
export const needsBrowser = (): string | false => needs("chromium");

/** Debian's Chromium. Root may not have its sandbox, and tests run as root where nothing else is. */
export function startBrowser(): Promise<Browser> {
  const args = process.getuid?.() === 0 ? ["--no-sandbox"] : [];
  return chromium.launch({ executablePath: findTool("chromium") ?? "", args: [...args, "--disable-gpu"] });
}
