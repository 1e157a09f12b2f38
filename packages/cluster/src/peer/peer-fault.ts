import { PullringError, type NodeId } from "@pullring/core";

/** How an exchange with a peer failed, before anything that the peer itself had to say. */
export type FaultKind =
  /** No connection, or one that ended before the head. */
  | "refused"
  | "reset"
  /** No connection, head or byte in time, and no sign of life. */
  | "silent"
  /** Alive, but it took too long. */
  | "late"
  /** None of our own connections to it was free. */
  | "crowded"
  /** Not an answer of this peer to this request. */
  | "garbled"
  /** It is the peer that was meant, and does not do what was asked. */
  | "declined"
  /** The body ended early. */
  | "cut";

export class PeerFault extends Error {
  override readonly name = "PeerFault";
  readonly kind: FaultKind;
  /** Whether the head had come. */
  readonly headed: boolean;

  constructor(kind: FaultKind, message: string, headed = false) {
    super(message);
    this.kind = kind;
    this.headed = headed;
  }
}

/** What an exchange told of its peer's health; undefined = nothing. */
export function healthIn(error: unknown): "refused" | "timeout" | undefined {
  if (!(error instanceof PeerFault)) return undefined;
  return healthOf[error.kind];
}

const healthOf: Readonly<Partial<Record<FaultKind, "refused" | "timeout">>> = {
  refused: "refused",
  reset: "refused",
  garbled: "refused",
  silent: "timeout",
};

/** Faults in the words of the core; everything else as it is. */
export function toPullringError(error: unknown, node: NodeId): unknown {
  if (!(error instanceof PeerFault)) return error;
  const { kind, headed, message } = error;
  const isSlow = kind === "silent" || kind === "late" || kind === "crowded";
  const reason = isSlow ? "timeout" : "down";
  return new PullringError(headed ? "cut" : "unreachable", `peer ${node}: ${message}`, { reason, cause: error });
}
