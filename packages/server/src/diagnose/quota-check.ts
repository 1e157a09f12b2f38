import { manifestAccept } from "@pullring/oci";

import type { Upstream } from "../config/index.ts";
import { ask, type Answer } from "./ask.ts";
import { fail, ok, warn, type Check, type Finding } from "./finding.ts";
import { diagnoseLimits as limits } from "./limits.ts";
import { registryUrl, type RegistryProbe } from "./registry-probe.ts";

/** What Docker documents for this question; a HEAD of it is not counted (docs.docker.com/docker-hub/usage/pulls). */
export const quotaRepository = "ratelimitpreview/test";

export interface QuotaCheckOptions {
  readonly upstream: Upstream;
  /** Whose allowance: an account's name, or "anonymous". */
  readonly whose: string;
  readonly probe: () => Promise<RegistryProbe>;
  readonly ca?: string | undefined;
}

export function quotaCheck({ upstream, whose, probe, ca }: QuotaCheckOptions): Check {
  async function asked(): Promise<Answer> {
    const { authorization } = await probe();
    const headers = {
      accept: manifestAccept,
      ...(authorization === undefined ? {} : { authorization }),
    };
    return ask(registryUrl(upstream, `${quotaRepository}/manifests/latest`), { method: "HEAD", headers, ca });
  }

  return {
    name: `quota of ${whose}`,
    async run() {
      const answer = await asked().catch(() => undefined);
      if (!answer) return warn(`can't be told: ${upstream.name} can't be asked`, "see the check of the upstream");
      const { status, headers: told } = answer;
      const spent = "wait for the window to pass, or add accounts: cached images are served meanwhile";
      if (status === 429) return fail(`${upstream.name} refuses ${whose}: nothing is left`, spent);
      return judge(numberIn(told["ratelimit-remaining"]), numberIn(told["ratelimit-limit"]), spent);
    },
  };
}

/** `100;w=21600`: the window's length stands behind the number. */
function numberIn(header: string | string[] | undefined): number | undefined {
  const found = /^\s*(\d+)/.exec([header].flat()[0] ?? "")?.[1];
  return found === undefined ? undefined : Number(found);
}

function judge(remaining: number | undefined, limit: number | undefined, spent: string): Finding {
  if (remaining === undefined || limit === undefined) return ok("no limit is told");
  const found = `${remaining} of ${limit} pulls left`;
  if (remaining === 0) return fail(found, spent);
  return remaining < limit * limits.quotaPartMin ? warn(found, spent) : ok(found);
}
