import { createHash, createHmac } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";

interface Signed {
  readonly method: string;
  /** Path and query as they came. */
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
}

/** Whether a request bears the signature that the secret gives it (Signature Version 4, in the header). */
export function isSignedBy(secret: string, { method, url, headers }: Signed): boolean {
  const found = /Credential=[^/]+\/(([^/]+)\/([^/]+)\/s3\/aws4_request), SignedHeaders=([^,]+), Signature=(\w+)/.exec(
    headers.authorization ?? "",
  );
  const [, scope = "", day = "", region = "", names = "", signature] = found ?? [];
  const [path, query = ""] = url.split("?", 2);
  const parameters = query.split("&").map((each) => (each === "" || each.includes("=") ? each : `${each}=`));
  const canonical = [
    method,
    path,
    parameters.sort().join("&"),
    ...names.split(";").map((name) => `${name}:${String(headers[name] ?? "").trim()}`),
    "",
    names,
    String(headers["x-amz-content-sha256"]),
  ].join("\n");
  const text = ["AWS4-HMAC-SHA256", headers["x-amz-date"], scope, createHash("sha256").update(canonical).digest("hex")];
  const key = [day, region, "s3", "aws4_request"].reduce<string | Buffer>(hmac, `AWS4${secret}`);
  return signature === hmac(key, text.join("\n")).toString("hex");
}

const hmac = (key: string | Buffer, text: string): Buffer => createHmac("sha256", key).update(text).digest();
