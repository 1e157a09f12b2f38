import { PullringError } from "@pullring/core";

import type { AnswerFacts } from "./facts.ts";
import type { TakeChunk } from "./peer-exchange.ts";
import { hashOf } from "./seal.ts";

/** A small body, whole in memory. */
export function collect(bytesMax: number): {
  onAnswer: (facts: AnswerFacts, length: number) => TakeChunk;
  bytes: () => Buffer;
  /** Of a body that no digest vouches for, as the next one: throws unless it is the one that was sealed. */
  sealed: () => Buffer;
  text: () => string;
} {
  let bytes = Buffer.alloc(0);
  let bodyHash: string | undefined;
  function sealed(): Buffer {
    if (bodyHash !== hashOf(bytes)) throw new PullringError("unreachable", "a peer's answer was changed on its way");
    return bytes;
  }
  return {
    onAnswer(facts, length) {
      if (length > bytesMax) throw new PullringError("too_large", `a peer's answer of ${length} bytes`);
      bytes = Buffer.allocUnsafe(length);
      bodyHash = facts.bodyHash;
      let at = 0;
      return (chunk) => {
        bytes.set(chunk, at);
        at += chunk.length;
      };
    },
    bytes: () => bytes,
    sealed,
    text: () => sealed().toString(),
  };
}
