import { blobReply } from "./blob-reply.ts";
import { corruptedAt, textBytes } from "./bytes.ts";
import { isSignedNow } from "./cdn-url.ts";
import type { Exchange, Reply } from "./reply.ts";
import type { HubState } from "./state.ts";

const plain = (status: number, text: string): Reply => ({
  status,
  headers: { "content-type": "text/plain" },
  body: textBytes(`${text}\n`),
});

/** One CDN: its addresses are signed for it alone, for a while, for GET, and want no Authorization. */
export function makeCdnOrigin(state: HubState, index: 0 | 1) {
  const { knobs } = state;

  function refuse({ request, path, query }: Exchange): Reply | undefined {
    if (request.headers.authorization !== undefined && knobs.cdnRefusesAuthorization) {
      return plain(400, "Only one auth mechanism allowed");
    }
    if (!isSignedNow(state, state.origins.cdns[index], path, query)) return plain(403, "Request has expired");
    if (request.method === "HEAD") return knobs.cdnHeadStatus === 403 ? plain(403, "SignatureDoesNotMatch") : undefined;
    return request.method === "GET" ? undefined : plain(405, "Method Not Allowed");
  }

  function answer(exchange: Exchange): Reply {
    const { repository = "", reference = "" } = exchange.entry;
    const bytes = state.content.find(repository)?.blobs.get(reference);
    if (bytes === undefined) return plain(404, "NoSuchKey");
    return blobReply(exchange, { digest: reference, bytes: corruptedAt(bytes, exchange.fault.corruptAt), knobs });
  }

  return { refuse, answer };
}
