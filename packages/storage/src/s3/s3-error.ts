/**
 * How a request to the service ended, by what it means to whoever asked.
 *
 * | kind | meaning |
 * |---|---|
 * | missing | the object is not there; never a bucket that is not there |
 * | exists | a condition did not hold: somebody stored it already (412) |
 * | conflict | somebody stores it right now (409) |
 * | refused | our request or our rights (other 4xx) |
 * | unsupported | the service does not know this (501) |
 * | busy | 503 SlowDown, 429 |
 * | failed | 5xx, no connection, an answer that is none |
 * | silent | no answer in time |
 * | late | no answer in a time so short that it proves nothing |
 * | stalled | a body stood still |
 * | closed | not asked: the service failed a moment ago |
 * | abandoned | given up by whoever asked |
 */
export type S3ErrorKind =
  | "missing"
  | "exists"
  | "conflict"
  | "refused"
  | "unsupported"
  | "busy"
  | "failed"
  | "silent"
  | "late"
  | "stalled"
  | "closed"
  | "abandoned";

export class S3Error extends Error {
  override readonly name = "S3Error";
  readonly kind: S3ErrorKind;

  constructor(kind: S3ErrorKind, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.kind = kind;
  }
}

export const isKind = (error: unknown, ...kinds: readonly S3ErrorKind[]): error is S3Error =>
  error instanceof S3Error && kinds.includes(error.kind);

/** What the SDK throws: its own errors with metadata, or the socket's. */
interface SdkError {
  readonly name?: string;
  readonly message?: string;
  readonly code?: string;
  readonly $metadata?: { readonly httpStatusCode?: number };
}

export function asS3Error(error: unknown): S3Error {
  if (error instanceof S3Error) return error;
  const { name = "", message = "", code = "", $metadata } = error as SdkError;
  const status = $metadata?.httpStatusCode;
  const text = `${[status, name, code].filter((part) => part !== undefined && part !== "").join(" ")}: ${message}`;
  return new S3Error(kindOf(error as SdkError), text.slice(0, 300), error);
}

function kindOf({ name = "", code, $metadata }: SdkError): S3ErrorKind {
  const status = $metadata?.httpStatusCode;
  if (name === "AbortError") return "abandoned";
  // The SDK calls a reset a timeout too.
  if (name === "TimeoutError" && (code === undefined || code === "ETIMEDOUT")) return "silent";
  // A success that can't be read as one is no answer.
  if (status === undefined || status < 400) return "failed";
  if (name === "SlowDown" || status === 429 || status === 503) return "busy";
  if (status === 404) return name === "NoSuchBucket" ? "refused" : "missing";
  if (status === 412) return "exists";
  if (status === 409) return "conflict";
  if (status === 501) return "unsupported";
  return status < 500 ? "refused" : "failed";
}
