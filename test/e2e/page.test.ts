import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, suite, test } from "node:test";
import { fileURLToPath } from "node:url";

import { eventually } from "@pullring/testkit";
import type { Browser, BrowserContext, Page } from "playwright-core";

import { needsBrowser, startBrowser } from "../real/browser.ts";
import { type Cluster, needsCluster, startCluster } from "../real/cluster.ts";
import { walk } from "../real/walk.ts";

const MB = 1_000_000;
const axe = fileURLToPath(import.meta.resolve("axe-core/axe.min.js"));
/** Where pictures go for somebody to look at; none are taken otherwise. */
const pictures = process.env["PULLRING_TEST_PICTURES"];

interface Violation {
  readonly id: string;
  readonly impact: string;
  readonly nodes: readonly { readonly html: string }[];
}

suite("the page", { skip: needsCluster() || needsBrowser(), timeout: 180_000 }, () => {
  let cluster: Cluster;
  let browser: Browser;
  const errors: string[] = [];
  before(
    async () => {
      [cluster, browser] = await Promise.all([
        startCluster({ nodes: 3, hub: { responseBytesPerSec: 4 * MB } }),
        startBrowser(),
      ]);
      const { content } = cluster.hub;
      content.addImage({ repository: "library/app", tag: "1", layers: [20_000, 1_000] });
      content.addImage({ repository: "acme/tools", tag: "2.0", layers: [300_000] });
      await walk(`${cluster.url}/v2/library/app`, "1");
      await walk(`${cluster.url}/v2/acme/tools`, "2.0");
    },
    { timeout: 120_000 },
  );
  after(async () => {
    await browser?.close();
    await cluster?.stop();
  });

  const token = (): string => cluster.nodes[0]!.adminToken;

  /** As somebody opens it who has no token yet; what it complains of is kept. */
  async function open(
    options: Parameters<Browser["newContext"]>[0] = {},
  ): Promise<{ page: Page; context: BrowserContext }> {
    const context = await browser.newContext({ viewport: { width: 1280, height: 1500 }, ...options });
    const page = await context.newPage();
    page.on("pageerror", (error) => errors.push(String(error)));
    page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
    page.on("request", (request) => {
      if (!request.url().startsWith(cluster.nodes[0]!.adminUrl)) errors.push(`asked ${request.url()}`);
    });
    await page.goto(`${cluster.nodes[0]!.adminUrl}/`);
    await page.getByRole("heading", { name: "Ring", exact: true }).waitFor();
    return { page, context };
  }

  async function picture(page: Page, name: string): Promise<void> {
    if (pictures !== undefined) await page.screenshot({ path: `${pictures}/${name}.png`, fullPage: true });
  }

  test("shows a live cluster: the ring, its nodes, what is cached, and nothing from elsewhere", async () => {
    const { page, context } = await open();
    for (const id of ["n1", "n2", "n3"])
      await page
        .getByRole("rowheader", { name: new RegExp(`^${id}`) })
        .first()
        .waitFor();
    assert.match(
      (await page.getByRole("img", { name: /Shares of the ring/ }).getAttribute("aria-label")) ?? "",
      /n1 \d+.*n2 \d+.*n3 \d+/,
    );
    await page.getByRole("rowheader", { name: "docker.io/library/app:1" }).waitFor();
    await page.getByRole("rowheader", { name: "docker.io/acme/tools:2.0" }).waitFor();
    await page.getByRole("heading", { name: "Quota", exact: true }).waitFor();
    await page.getByText("docker.io anonymous by default on n1").waitFor();
    // Of the nodes that were told; any may have done the pulls.
    await page
      .getByRole("meter", { name: /anonymous by default on n\d: \d+ of 100 left/ })
      .first()
      .waitFor();
    await picture(page, "light");
    await context.close();
    assert.deepEqual(errors, []);
  });

  test("tells where a typed image lands, and what a node more would move", async () => {
    const { page, context } = await open();
    await page.getByLabel("Where does it land?").fill("docker.io/library/app:1");
    await page.getByRole("button", { name: "Find" }).click();
    const told = await fetch(`${cluster.nodes[0]!.adminUrl}/admin/v1/ring/owner?key=docker.io/library/app:1`);
    const { owner } = (await told.json()) as { owner: string };
    await page
      .getByRole("status")
      .filter({ hasText: new RegExp(`^\\s*${owner}, then`) })
      .waitFor();
    assert.equal(await page.locator(".arc.found").count(), 1);
    await page.getByLabel("Where does it land?").fill("not an image");
    await page.getByRole("button", { name: "Find" }).click();
    await page.locator(".ring-side p.bad").waitFor();
    await page.getByLabel("What would a node move?").fill("n4");
    await page.getByRole("button", { name: "Preview" }).click();
    const text = await page.locator(".preview p").innerText();
    assert.match(text, /^\d+ % of all keys move with n4 added/);
    assert.equal(await page.locator(".preview tbody tr").count(), 4);
    await context.close();
  });

  test("shows a fill that moves", async () => {
    const { digest } = cluster.hub.content.addBlob({ repository: "library/large", size: 10 * MB });
    const { page, context } = await open();
    const pulled = fetch(`${cluster.url}/v2/library/large/blobs/${digest}`).then((answer) => answer.arrayBuffer());
    const bar = page.getByRole("progressbar", { name: /docker\.io\/library\/large/ }).first();
    await bar.waitFor();
    const read = (): Promise<number> => bar.evaluate((element) => (element as unknown as { value: number }).value);
    const first = await read();
    await eventually(async () => (await read()) > first, { timeoutMs: 10_000 });
    await picture(page, "filling");
    await pulled;
    await page.getByText("Nothing is being fetched.").waitFor();
    await context.close();
  });

  test("purges only with a token, and only once somebody means it", async () => {
    const { page, context } = await open();
    const row = page.getByRole("row").filter({ hasText: "docker.io/acme/tools:2.0" });
    const purge = page.getByRole("button", { name: "Purge docker.io/acme/tools:2.0" });
    await purge.click();
    await page.getByRole("button", { name: "Keep it" }).click();
    await purge.click();
    const dialog = page.getByRole("dialog", { name: /Purge docker\.io\/acme\/tools:2\.0\?/ });
    await dialog.getByRole("button", { name: "Purge" }).click();
    await page.getByRole("textbox", { name: "Token" }).fill(token());
    await page.getByRole("button", { name: "Unlock" }).click();
    await purge.click();
    await dialog.getByRole("button", { name: "Purge" }).click();
    await page.getByText(/acme\/tools:2\.0 is gone from 3 nodes/).waitFor();
    await row.waitFor({ state: "detached" });
    await context.close();
  });

  test("warms an image, and shows it then", async () => {
    cluster.hub.content.addImage({ repository: "acme/later", tag: "1", layers: [10_000] });
    const { page, context } = await open();
    await page.evaluate((secret) => sessionStorage.setItem("pullring-token", secret), token());
    await page.reload();
    await page.getByLabel("an image to fetch before it is asked for").fill("docker.io/acme/later:1");
    await page.getByRole("button", { name: "Warm", exact: true }).click();
    await page.getByRole("rowheader", { name: "docker.io/acme/later:1" }).waitFor();
    await context.close();
  });

  for (const [name, options] of [
    ["light", { colorScheme: "light" }],
    ["dark", { colorScheme: "dark" }],
    ["phone", { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true }],
  ] as const)
    test(`has no serious finding of axe, and does not overflow: ${name}`, async () => {
      const { page, context } = await open({ ...options, bypassCSP: true });
      await page.getByRole("rowheader", { name: "docker.io/library/app:1" }).waitFor();
      await page.evaluate(await readFile(axe, "utf8"));
      const { violations } = await page.evaluate<{ violations: Violation[] }>("axe.run()");
      const serious = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
      assert.deepEqual(
        serious.map(({ id, nodes }) => `${id}: ${nodes[0]?.html}`),
        [],
      );
      const overflow = await page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth",
      );
      assert.equal(overflow, 0);
      await picture(page, `axe-${name}`);
      await context.close();
    });

  test("can be used by the keyboard alone", async () => {
    const { page, context } = await open();
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate("document.activeElement.textContent"), "To the content");
    await page.getByLabel("Where does it land?").focus();
    await page.keyboard.type("docker.io/library/app:1");
    await page.keyboard.press("Enter");
    await page.locator(".ring-side strong").first().waitFor();
    await context.close();
  });
});
