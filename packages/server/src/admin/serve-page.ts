import { openPage, type Page } from "@pullring/dashboard";
import type { FastifyInstance } from "fastify";

/**
 * The page, for the admin listener's app. Its files hold nothing of this node, so they are given to whoever asks; what they show they ask of the API, which
 * wants its token.
 */
export function servePage(app: FastifyInstance): void {
  let page: Promise<Page> | undefined;
  for (const url of ["/", "/page/*"])
    app.get(url, async (request, reply) => {
      const { files, contentSecurityPolicy } = await (page ??= openPage());
      const [path = ""] = request.url.split("?");
      const file = files.get(path);
      if (!file) return reply.callNotFound();
      const { contentType, bytes, etag } = file;
      void reply.headers({
        "content-type": contentType,
        "content-security-policy": contentSecurityPolicy,
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
        // Asked for each time: a node that was upgraded has other files of the same name.
        "cache-control": "no-cache",
        etag,
      });
      if (request.headers["if-none-match"] === etag) return reply.code(304).send();
      return reply.send(bytes);
    });
}
