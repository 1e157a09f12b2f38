import type { NodeId, PeerVerb } from "./cluster-ports.ts";

/** Where bytes can be had from. */
export type Place =
  | { readonly tier: "peer"; readonly node: NodeId; readonly verb: PeerVerb }
  | { readonly tier: "s3" }
  | { readonly tier: "upstream" };

/** A place's name, for who looks at it and for what is held against it. Holds no client's text. */
export function nameOf(place: Place, upstream: string): string {
  if (place.tier === "peer") return `peer:${place.node}`;
  return place.tier === "s3" ? "s3" : `upstream:${upstream}`;
}
