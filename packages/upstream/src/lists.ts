import { limits as cacheLimits, PullringError, type Lane, type ListPage, type ListSource } from "@pullring/core";
import { mediaTypes, nextLink } from "@pullring/oci";

import { makeCollector } from "./collector.ts";
import { contentLengthOf, headerOf, isIdentity } from "./headers.ts";
import { limits } from "./limits.ts";
import type { Answer } from "./redirects.ts";
import type { Order } from "./order.ts";
import type { Registry } from "./registry.ts";
import type { RegistryOf } from "./sources.ts";

export function makeListSource(registryOf: RegistryOf): ListSource {
  return {
    async tags({ upstream, name }, query, signal) {
      const order = { kind: "tags", repository: name, path: `tags/list${searchOf(query)}`, signal } as const;
      const ask = { ...order, accept: "application/json" };
      const { bytes: _, ...page } = await readPage(registryOf(upstream), ask, limits.listBytesMax);
      return page;
    },

    async referrers({ upstream, name }, digest, signal) {
      const registry = registryOf(upstream);
      const order = { kind: "referrers", repository: name, accept: mediaTypes.ociIndex, signal } as const;
      const manifests: unknown[] = [];
      let left: number = limits.listBytesMax;
      let first: ListPage | undefined;
      let query: string | undefined = "";
      for (let pages = 0; query !== undefined; pages += 1) {
        if (pages === cacheLimits.listPagesMax) throw tooLong(upstream);
        const path = `referrers/${digest}${searchOf(query)}`;
        const page: Page = await readPage(registry, { ...order, path }, left);
        const listed = page.body["manifests"];
        if (!Array.isArray(listed)) throw new PullringError("unavailable", `${upstream} sends no index of referrers`);
        manifests.push(...(listed as unknown[]));
        left -= page.bytes;
        first ??= page;
        query = page.next;
      }
      return { lane: (first as ListPage).lane, body: { ...first?.body, manifests } };
    },
  };
}

interface Page extends ListPage {
  readonly bytes: number;
}

const tooLong = (host: string): PullringError => new PullringError("too_large", `${host} sends too long a list`);

/** What a client or upstream wrote, without the name of the upstream, which is ours alone. */
function searchOf(query: string): string {
  if (query.length > limits.listQueryMax) throw new PullringError("unsupported", "the query of this list is too long");
  const params = new URLSearchParams(query);
  params.delete("ns");
  return params.size === 0 ? "" : `?${params.toString()}`;
}

async function readPage(registry: Registry, order: Order, bytesMax: number): Promise<Page> {
  let page: (() => Page) | undefined;
  await registry.ask({ ...order, retryAlso: "cut" }, (answer, { name, access }) => {
    const body = bodyOf(answer, bytesMax);
    page = () => {
      const bytes = body.bytes();
      const next = nextQuery(answer);
      const facts = { lane: { name, access } satisfies Lane, body: parse(bytes, answer.url), bytes: bytes.length };
      return { ...facts, ...(next === undefined ? {} : { next }) };
    };
    return body;
  });
  if (!page) throw new PullringError("unavailable", "no answer was received");
  return page();
}

function bodyOf({ headers, url }: Answer, bytesMax: number) {
  if (!isIdentity(headers)) throw new PullringError("corrupt", `${url.host} sends a list with a content coding`);
  const exceed = (): never => {
    throw tooLong(url.host);
  };
  if ((contentLengthOf(headers) ?? 0) > bytesMax) exceed();
  return makeCollector(bytesMax, exceed);
}

/** Only the query of the next page counts: a Link can't lead anywhere else. */
function nextQuery({ headers, url }: Answer): string | undefined {
  const link = nextLink(headerOf(headers, "link"));
  if (link === undefined || !URL.canParse(link, url.href)) return undefined;
  return searchOf(new URL(link, url).search).slice(1) || undefined;
}

function parse(bytes: Buffer, url: URL): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(bytes.toString());
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return { ...value };
  } catch {
    // Told below, as any other body that is no list.
  }
  throw new PullringError("unavailable", `${url.host} sends no list`);
}
