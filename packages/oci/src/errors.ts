/** Error codes of the distribution-spec, and two that Distribution added and clients know (UNKNOWN, UNAVAILABLE). */
export type OciErrorCode =
  | "BLOB_UNKNOWN"
  | "DENIED"
  | "DIGEST_INVALID"
  | "MANIFEST_INVALID"
  | "MANIFEST_UNKNOWN"
  | "NAME_INVALID"
  | "NAME_UNKNOWN"
  | "SIZE_INVALID"
  | "TAG_INVALID"
  | "TOOMANYREQUESTS"
  | "UNAUTHORIZED"
  | "UNAVAILABLE"
  | "UNKNOWN"
  | "UNSUPPORTED";

/** A request that the protocol's own grammar refuses; it names no HTTP status. */
export class OciError extends Error {
  override readonly name = "OciError";
  readonly code: OciErrorCode;

  constructor(code: OciErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

/** The JSON body of an error answer (distribution-spec, "Error Codes"). */
export const errorBody = (code: OciErrorCode, message: string, detail?: unknown): string =>
  JSON.stringify({ errors: [{ code, message, ...(detail === undefined ? {} : { detail }) }] });
