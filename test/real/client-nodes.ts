import { join } from "node:path";

import { type Hub, startHub } from "@pullring/testkit";

import { type Certificates, makeCertificates } from "./certificates.ts";
import { asDockerHub, type Pullring, startPullring } from "./pullring.ts";

/** What clients are pointed at: a node with plain HTTP, another with TLS, and behind both a hub whose address no client knows. */
export interface ClientNodes extends AsyncDisposable {
  readonly plain: Pullring;
  readonly secure: Pullring;
  /** Of the node with TLS. */
  readonly certificates: Certificates;
  /** A new image of that name among Docker Hub's own. */
  addImage(name: string): { readonly digest: string; readonly image: string };
  /** How often its manifest was fetched from the hub. */
  fetches(name: string): number;
}

const repositoryOf = (name: string): string => `library/${name}`;

export async function startClientNodes(dir: string): Promise<ClientNodes> {
  await using stack = new AsyncDisposableStack();
  const hub: Hub = await startHub();
  stack.defer(() => hub.close());
  const certificates = await makeCertificates(dir);
  const upstreams = asDockerHub(hub);
  const tls = { cert: certificates.cert, key: certificates.key };
  const [plain, secure] = await Promise.all([
    startPullring({ dir: join(dir, "plain"), config: { upstreams } }),
    startPullring({ dir: join(dir, "secure"), config: { upstreams, tls } }),
  ]);
  stack.use(plain);
  stack.use(secure);
  const running = stack.move();
  return {
    plain,
    secure,
    certificates,
    addImage(name) {
      const repository = repositoryOf(name);
      const { digest } = hub.content.addImage({ repository, tag: "1", layers: [{ "etc/name": name }] });
      return { digest, image: `docker.io/${repository}:1` };
    },
    fetches: (name) => hub.ledger.count({ repository: repositoryOf(name), kind: "manifest_get" }),
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}
