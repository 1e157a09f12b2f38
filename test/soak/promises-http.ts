import { createHash } from "node:crypto";
import { Agent, type IncomingHttpHeaders, type IncomingMessage, request } from "node:http";

import { mediaTypes } from "@pullring/testkit";

const accept = [mediaTypes.ociIndex, mediaTypes.ociManifest, mediaTypes.dockerManifest].join(", ");

export interface Answer {
  readonly headers: IncomingHttpHeaders;
  readonly digest: string;
  /** The whole body, of manifests only. */
  readonly text: string;
  /** The longest time without a byte of the body. */
  readonly stalledMs: number;
}

export interface Client {
  ask(method: "GET" | "HEAD", url: string): Promise<Answer>;
  close(): void;
}

/** A client with an address and one connection of its own; whatever is not 200 and complete rejects. */
export function makeClient(index: number): Client {
  // A node's bounds are for each client address: 127.1.0.1 and on.
  const localAddress = `127.1.${Math.floor(index / 250)}.${(index % 250) + 1}`;
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });

  const send = (method: string, url: string): Promise<IncomingMessage> =>
    new Promise((resolve, reject) => {
      request(url, { method, agent, localAddress, headers: { accept } })
        .once("response", resolve)
        .once("error", reject)
        .end();
    });

  return {
    async ask(method, url) {
      const response = await send(method, url);
      const hash = createHash("sha256");
      const isText = url.includes("/manifests/") || response.statusCode !== 200;
      const kept: Buffer[] = [];
      let [lastMs, stalledMs] = [performance.now(), 0];
      for await (const chunk of response as AsyncIterable<Buffer>) {
        hash.update(chunk);
        if (isText) kept.push(chunk);
        const nowMs = performance.now();
        stalledMs = Math.max(stalledMs, nowMs - lastMs);
        lastMs = nowMs;
      }
      const text = Buffer.concat(kept).toString();
      if (response.statusCode !== 200) throw new Error(`${response.statusCode} ${text.slice(0, 200)}`);
      return { headers: response.headers, digest: `sha256:${hash.digest("hex")}`, text, stalledMs };
    },
    close: () => agent.destroy(),
  };
}

export interface ImageAt {
  /** Before `/v2/`; request after request goes to the next one. */
  readonly bases: readonly string[];
  readonly repository: string;
  readonly tag: string;
}

interface Manifest {
  readonly config: { readonly digest: string };
  readonly layers: readonly { readonly digest: string }[];
}

/** As containerd pulls: HEAD of the tag, its manifest by digest, then all that it names; every digest is checked. */
export async function pullImage(client: Client, { bases, repository, tag }: ImageAt, turn: number): Promise<void> {
  let asked = turn;
  const ask = (method: "GET" | "HEAD", path: string): Promise<Answer> =>
    client.ask(method, `${bases[asked++ % bases.length]}/v2/${repository}/${path}`);

  async function checked(kind: "manifests" | "blobs", digest: string): Promise<string> {
    const answer = await ask("GET", `${kind}/${digest}`);
    if (answer.digest !== digest) throw new Error(`wrong bytes: ${answer.digest} for ${digest}`);
    return answer.text;
  }

  const head = await ask("HEAD", `manifests/${tag}`);
  const text = await checked("manifests", String(head.headers["docker-content-digest"]));
  const { config, layers } = JSON.parse(text) as Manifest;
  await checked("blobs", config.digest);
  // Each client begins with another layer, so that all of them are cold for somebody.
  const first = turn % layers.length;
  for (const { digest } of [...layers.slice(first), ...layers.slice(0, first)]) await checked("blobs", digest);
}
