/** How far a request came, and what ended it. */
export type WireFault =
  /** Not sent: no connection (refused, no name, TLS), or a host that fails fast. */
  | "unreachable"
  /** Not sent: an address that may not be dialled. */
  | "forbidden"
  /** No head in time, or no free connection. */
  | "silent"
  /** The connection ended before the head. */
  | "reset"
  /** The head is no HTTP. */
  | "unparsable"
  /** The body ended, stalled or broke. */
  | "cut";

/** What went wrong on the wire, in words that hold no credential, no query and nothing that upstream sent. */
export class WireError extends Error {
  override readonly name = "WireError";
  readonly fault: WireFault;
  /** What upstream had sent when it ceased to be HTTP: to be read, not to be shown. */
  readonly received: string | undefined;

  constructor(fault: WireFault, message: string, received?: string) {
    super(message);
    this.fault = fault;
    this.received = received;
  }
}
