import type { RequestKind } from "./config.ts";
import type { BodySink } from "./intake.ts";
import type { AccountLane } from "./lanes.ts";
import type { Answer } from "./redirects.ts";
import type { WireFault } from "./wire-error.ts";

/** One question to a registry about one repository. */
export interface Order {
  readonly kind: RequestKind;
  /** Name of the repository, by the grammar of names. */
  readonly repository: string;
  /** What stands behind the name: `manifests/latest`. */
  readonly path: string;
  readonly method?: "HEAD";
  readonly accept?: string;
  readonly range?: string;
  readonly bulk?: boolean;
  readonly follow?: boolean;
  readonly retriesMax?: number;
  /** Another fault that is worth another try: `cut`, when nobody has seen the body yet. */
  readonly retryAlso?: WireFault;
  /** Which statuses are answers; the others are refusals. 200 alone unless told. */
  readonly accepts?: readonly number[];
  readonly signal?: AbortSignal | undefined;
}

/** Takes an answer; a throw ends the request with that error. */
export type Receive = (answer: Answer, lane: AccountLane) => BodySink | undefined;
