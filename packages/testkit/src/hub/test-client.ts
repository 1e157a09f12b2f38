import type { TestContext } from "node:test";
import { ask, type Asked, type AskOptions } from "../ask.ts";
import { type Hub, type HubOptions, startHub } from "./hub.ts";
import { mediaTypes } from "./images.ts";

/** Every manifest type, as a client that means to get what is there asks. */
export const acceptAll = [
  mediaTypes.ociIndex,
  mediaTypes.ociManifest,
  mediaTypes.dockerList,
  mediaTypes.dockerManifest,
].join(", ");

/** A hub that ends with the test. */
export async function hubFor(t: TestContext, options: HubOptions = {}): Promise<Hub> {
  const hub = await startHub(options);
  t.after(() => hub.close());
  return hub;
}

export interface Credentials {
  readonly username: string;
  readonly password: string;
}

export const basic = ({ username, password }: Credentials): string =>
  `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;

/** The token endpoint's answer for one repository. */
export function askToken(hub: Hub, repository: string, credentials?: Credentials): Promise<Asked> {
  const headers = credentials === undefined ? {} : { authorization: basic(credentials) };
  return ask(`${hub.tokenOrigin}/token?service=registry.docker.io&scope=repository:${repository}:pull`, { headers });
}

export async function tokenFor(hub: Hub, repository: string, credentials?: Credentials): Promise<string> {
  const { body } = await askToken(hub, repository, credentials);
  return (JSON.parse(body.toString()) as { token: string }).token;
}

export interface RegistryClient {
  get(path: string, options?: AskOptions): Promise<Asked>;
  head(path: string): Promise<Asked>;
}

/** Asks one repository's resources with a token; `path` is what follows its name. */
export async function clientOf(hub: Hub, repository: string, credentials?: Credentials): Promise<RegistryClient> {
  const authorization = `Bearer ${await tokenFor(hub, repository, credentials)}`;
  const get = (path: string, options: AskOptions = {}): Promise<Asked> =>
    ask(`${hub.url}/v2/${repository}/${path}`, {
      ...options,
      headers: { authorization, accept: acceptAll, ...options.headers },
    });
  return { get, head: (path) => get(path, { method: "HEAD" }) };
}

/** The signed address that a blob is redirected to. */
export async function signedUrl(hub: Hub, repository: string, digest: string): Promise<string> {
  const client = await clientOf(hub, repository);
  const { headers } = await client.get(`blobs/${digest}`);
  return new URL(headers.location ?? "", hub.url).href;
}

export const errorCode = ({ body }: Asked): string | undefined =>
  (JSON.parse(body.toString()) as { errors: { code: string }[] }).errors[0]?.code;
