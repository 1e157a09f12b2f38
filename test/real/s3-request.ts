import { createHash, createHmac } from "node:crypto";

export interface S3Login {
  readonly endpoint: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

export interface S3Request {
  readonly method: "GET" | "PUT" | "POST" | "HEAD" | "DELETE";
  /** `/bucket/key?query`, percent-encoded, parameters in the order of their names. */
  readonly target: string;
  readonly body?: Uint8Array;
}

const region = "us-east-1";
const hmac = (key: string | Buffer, text: string): Buffer => createHmac("sha256", key).update(text).digest();
const sha256 = (bytes: string | Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

/** One request, signed with Signature Version 4; so that tests look into a bucket, and reach behind the product's back. */
export function askS3(login: S3Login, { method, target, body = new Uint8Array() }: S3Request): Promise<Response> {
  const { endpoint, accessKeyId, secretAccessKey } = login;
  const [path = "/", query = ""] = target.split("?", 2);
  const time = new Date().toISOString().replaceAll(/[-:]|\.\d+/g, "");
  const signed: Record<string, string> = {
    host: new URL(endpoint).host,
    "x-amz-content-sha256": sha256(body),
    "x-amz-date": time,
  };
  const names = Object.keys(signed).join(";");
  const lines = Object.entries(signed).map(([name, value]) => `${name}:${value}\n`);
  const canonicalQuery = query
    .split("&")
    .map((part) => (part === "" || part.includes("=") ? part : `${part}=`))
    .join("&");
  const canonical = [method, path, canonicalQuery, lines.join(""), names, sha256(body)].join("\n");
  const scope = `${time.slice(0, 8)}/${region}/s3/aws4_request`;
  const key = scope.split("/").reduce<string | Buffer>((last, part) => hmac(last, part), `AWS4${secretAccessKey}`);
  const signature = createHmac("sha256", key).update(`AWS4-HMAC-SHA256\n${time}\n${scope}\n${sha256(canonical)}`);
  const authorization = `AWS4-HMAC-SHA256 Credential=${accessKeyId}/${scope}, SignedHeaders=${names}, Signature=${signature.digest("hex")}`;
  const { host: _, ...sent } = signed;
  const withBody = method === "PUT" ? { body: Buffer.from(body) } : {};
  return fetch(`${endpoint}${target}`, { method, headers: { ...sent, authorization }, ...withBody });
}
