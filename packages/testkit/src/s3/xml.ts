import { etagOf, type S3Contents } from "./objects.ts";

const escaped = (text: string): string => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
const iso = (ms: number): string => new Date(ms).toISOString();

export const document = (root: string, inner: string): string =>
  `<?xml version="1.0" encoding="UTF-8"?><${root} xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${inner}</${root}>`;

export const errorDocument = (code: string): string =>
  `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>${code}</Message></Error>`;

/** ListObjectsV2; the token is the last key told. */
export function listing({ objects }: S3Contents, query: URLSearchParams, keysMax: number): string {
  const prefix = query.get("prefix") ?? "";
  const after = query.get("continuation-token") ?? query.get("start-after") ?? "";
  const keys = [...objects.keys()].filter((key) => key.startsWith(prefix) && key > after).sort();
  const page = keys.slice(0, keysMax);
  const contents = page.map((key) => {
    const { bytes, modifiedAt } = objects.get(key)!;
    const facts = `<LastModified>${iso(modifiedAt)}</LastModified><ETag>${etagOf(bytes)}</ETag><Size>${bytes.length}</Size>`;
    return `<Contents><Key>${escaped(key)}</Key>${facts}</Contents>`;
  });
  const isTruncated = keys.length > page.length;
  const next = isTruncated ? `<NextContinuationToken>${escaped(page.at(-1) ?? "")}</NextContinuationToken>` : "";
  return document("ListBucketResult", `<IsTruncated>${isTruncated}</IsTruncated>${next}${contents.join("")}`);
}

export function uploadListing({ uploads }: S3Contents, query: URLSearchParams): string {
  const prefix = query.get("prefix") ?? "";
  const open = [...uploads].filter(([, { key }]) => key.startsWith(prefix));
  const rows = open.map(
    ([id, { key, startedAt }]) =>
      `<Upload><Key>${escaped(key)}</Key><UploadId>${id}</UploadId><Initiated>${iso(startedAt)}</Initiated></Upload>`,
  );
  return document("ListMultipartUploadsResult", `<IsTruncated>false</IsTruncated>${rows.join("")}`);
}

export function partListing({ uploads }: S3Contents, id: string): string {
  const rows = [...(uploads.get(id)?.parts ?? [])].map(
    ([number, { bytes, modifiedAt }]) =>
      `<Part><PartNumber>${number}</PartNumber><LastModified>${iso(modifiedAt)}</LastModified><Size>${bytes.length}</Size></Part>`,
  );
  return document("ListPartsResult", `<IsTruncated>false</IsTruncated>${rows.join("")}`);
}
